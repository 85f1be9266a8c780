//! A certificate that its owner has signed himself, made by OpenSSL.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Two PEM files.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, mode 0600.
    pub key: PathBuf,
}

impl Pair {
    /// A new one in these files of that directory, for that DNS name.
    ///
    /// # Errors
    /// OpenSSL is missing or fails.
    pub fn make(directory: &Path, file: &str, name: &str) -> Result<Self> {
        Self::make_for(directory, file, name, 30)
    }

    /// The same, valid for so many days.
    ///
    /// # Errors
    /// As above.
    pub fn make_for(directory: &Path, file: &str, name: &str, days: u32) -> Result<Self> {
        let path = |ending: &str| directory.join(format!("{file}.{ending}"));
        let pair = Self { certificate: path("pem"), key: path("key") };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days"])
            // No CA, or clients that trust it would refuse to see it shown.
            .args([
                &days.to_string(),
                "-subj",
                "/CN=owner",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-addext",
            ])
            .args([&format!("subjectAltName=DNS:{name}"), "-keyout"])
            .arg(&pair.key)
            .arg("-out")
            .arg(&pair.certificate)
            .output()
            .context("openssl is missing: run `just setup`")?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(pair)
    }

    /// The lines of `[listen]` that name both.
    #[must_use]
    pub fn lines(&self) -> String {
        format!("certificate = \"{}\"\nkey = \"{}\"\n", self.certificate.display(), self.key.display())
    }
}
