//! Where the engine will find llama.cpp's libraries, if they are apart from it (the feature `dynamic-backends`).
//!
//! Knows the folder's name, of `GGML_LIBEXEC_DIR`: llama-cpp-sys-2 hands variables of such a name on to CMake (`llama.cmake`), and
//! compiles anew when they change. Refuses to guess one: the crate would bake in the folder in which it was compiled.

/// What names the folder.
const NAMED: &str = "GGML_LIBEXEC_DIR";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={NAMED}");
    if std::env::var_os("CARGO_FEATURE_DYNAMIC_BACKENDS").is_none() {
        return Ok(());
    }
    let folder = std::env::var(NAMED).unwrap_or_default();
    if !folder.starts_with('/') {
        return Err(format!(
            "the feature dynamic-backends needs {NAMED}=/FOLDER, in which llama.cpp's libraries will lie; it is {folder:?}"
        ));
    }
    // Not a RUNPATH, which says nothing of what libraries need themselves, and which LD_LIBRARY_PATH goes before.
    println!("cargo::rustc-link-arg-bins=-Wl,--disable-new-dtags,-rpath,{folder}");
    println!("cargo::rustc-env={NAMED}={folder}");
    Ok(())
}
