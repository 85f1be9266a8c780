//! What a file's model is called.

use super::*;

#[test]
fn a_file_is_called_as_the_engine_calls_it() {
    for (file, name) in [
        ("/srv/a.gguf", "a"),
        ("/srv/Qwen3-0.6B.Q8_0.gguf", "Qwen3-0.6B.Q8_0"),
        ("big-00001-of-00003.gguf", "big"),
        ("a-of-b.gguf", "a-of-b"),
        ("a-1-of-00003.gguf", "a-1-of-00003"),
        ("no-ending", "no-ending"),
    ] {
        assert_eq!(file_model(Path::new(file)), name);
    }
}
