//! Starts llama.cpp: its log, its code for this processor, itself.
//!
//! Built plainly, the program holds that code, for processors since 2013. With the feature `dynamic-backends` it lies in libraries, one
//! for each kind of processor, and the best that this one can run is loaded. Knows the one folder that they lie in, from the build.
//! Refuses to know any other: what lies in the current directory, beside the program, or where the environment points is somebody
//! else's code. Invariant: where the folder has nothing for this processor, llama.cpp is not started, since it would look elsewhere.

use llama_cpp_2::llama_backend::LlamaBackend;

/// llama.cpp, ready to be used. Once in a process.
///
/// # Errors
/// Why not, and what to do.
pub(super) fn start() -> Result<LlamaBackend, String> {
    llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default());
    load()?;
    LlamaBackend::init().map_err(|error| error.to_string())
}

#[cfg(not(feature = "dynamic-backends"))]
fn load() -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "dynamic-backends")]
fn load() -> Result<(), String> {
    use llama_cpp_2::{LlamaBackendDeviceType, list_llama_ggml_backend_devices, llama_backend};

    const FOLDER: &str = env!("GGML_LIBEXEC_DIR");
    // ggml loads what it names after its own, whatever folder it was given.
    const ELSEWHERE: &str = "GGML_BACKEND_PATH";
    if std::env::var_os(ELSEWHERE).is_some() {
        return Err(format!("{ELSEWHERE} is set, and code is loaded from {FOLDER} only: unset it"));
    }
    llama_backend::load_backends_from_path(std::path::Path::new(FOLDER));
    let devices = list_llama_ggml_backend_devices();
    if !devices.iter().any(|device| device.device_type == LlamaBackendDeviceType::Cpu) {
        return Err(format!(
            "{FOLDER} has no libggml-cpu-*.so that this processor can run: reinstall the package ghostllm-engine"
        ));
    }
    Ok(())
}
