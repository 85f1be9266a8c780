//! `ghostllm config` and the configuration from outside: which source wins, what is refused and how, what is printed.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    binary,
    client::{Request, plain},
    daemon::{Daemon, Setup},
    double::Double,
    openai::{OpenAi, Style},
    root,
};
use serde_json::Value;
use tempfile::TempDir;

/// How a run has ended.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A home of its own, in which `ghostllm` is run; the machine's own configuration would come before it.
struct Home(TempDir);

impl Home {
    fn new() -> Result<Self> {
        ensure!(
            !Path::new("/etc/ghostllm").exists(),
            "/etc/ghostllm is there, and this test needs a machine without a configuration"
        );
        let home = Self(tempfile::tempdir()?);
        fs::create_dir_all(home.path(".config/ghostllm/conf.d"))?;
        Ok(home)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Writes a file below the user's configuration; gives back its path.
    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.path(&format!(".config/ghostllm/{name}"));
        fs::write(&path, text)?;
        Ok(path)
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Ran> {
        let ran = Command::new(binary("ghostllm"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.0.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()?;
        Ok(Ran {
            code: ran.status.code(),
            out: String::from_utf8(ran.stdout)?,
            err: String::from_utf8(ran.stderr)?,
        })
    }
}

/// The values of a text that `config show` has printed, without their places.
fn values(shown: &str) -> Vec<&str> {
    let lines = shown.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(" # ").next()).collect()
}

#[test]
fn shows_every_value_with_the_source_that_won() -> Result<()> {
    let home = Home::new()?;
    let main =
        home.write("ghostllm.toml", "profile = \"dev\"\n[log]\nlevel = \"error\"\nformat = \"json\"\n")?;
    let first =
        home.write("conf.d/10-first.toml", "[log]\nlevel = \"warn\"\n[limits]\nstreams = 10\nthreads = 1\n")?;
    let backend = "backends:\n- name: box\n  kind: openai\n  url: http://box:1\n  key_file: box-key\nlimits: {streams: 11}\n";
    let second = home.write("conf.d/20-second.yaml", backend)?;
    let dev = "[profiles.dev.limits]\nthreads = 2\n[[profiles.dev.backends]]\nname = \"box\"\nurl = \"http://dev:2\"\n\
               [profiles.prod.limits]\nthreads = 3\n";
    let third = home.write("conf.d/30-third.toml", dev)?;
    home.write("conf.d/.40.toml", "broken")?;
    home.write("conf.d/50.toml.dpkg-dist", "broken")?;
    let show = ["config", "show", "--set", "limits.uri_bytes=4KiB"];
    let variables = [("GHOSTLLM_LIMITS__BODY", "1MiB"), ("OLLAMA_HOST", "nowhere:1")];
    let ran = home.run(&show, &variables)?;
    ensure!(ran.code == Some(0) && ran.err.is_empty(), "{:?}: {}", ran.code, ran.err);
    for line in [
        format!("# profile = \"dev\" # {main}:1:11"),
        format!("level = \"warn\" # {first}:2:9"),
        format!("format = \"json\" # {main}:4:10"),
        format!("streams = 11 # {second}:6:19"),
        format!("threads = 2 # {third}:2:11"),
        "body = \"1MiB\" # environment variable GHOSTLLM_LIMITS__BODY".to_owned(),
        "uri_bytes = \"4KiB\" # --set limits.uri_bytes".to_owned(),
        "tls = \"[::]:11443\" # default".to_owned(),
        format!("name = \"box\" # {second}:2:9"),
        format!("url = \"http://dev:2\" # {third}:5:7"),
        format!("key_file = \"box-key\" # {second}:5:13"),
    ] {
        ensure!(ran.out.lines().any(|shown| shown == line), "no line {line} in\n{}", ran.out);
    }
    // What it prints is a configuration, and the same one.
    let copy = home.path("copy.toml");
    fs::write(&copy, &ran.out)?;
    let again = home.run(&["config", "show", "--config", &copy], &[])?;
    ensure!(again.code == Some(0), "{}", again.err);
    ensure!(home.run(&["config", "show", &copy], &[])?.out == again.out, "without the option it is another");
    ensure!(values(&again.out) == values(&ran.out), "{}\nis not\n{}", again.out, ran.out);
    // Another profile, by the variable and by the option, which goes before it.
    let prod = home.run(&show, &[("GHOSTLLM_PROFILE", "prod")])?;
    ensure!(
        prod.out.contains("threads = 3 # ") && prod.out.contains("url = \"http://box:1\""),
        "{}",
        prod.out
    );
    let flagged = home.run(&["config", "show", "--profile", "dev"], &[("GHOSTLLM_PROFILE", "prod")])?;
    ensure!(flagged.out.contains("# profile = \"dev\" # --profile\n"), "{}", flagged.out);
    // A file that is named elsewhere stands alone; the found one, named, does not.
    let alone = home.path("alone.toml");
    fs::write(&alone, "[limits]\nstreams = 5\n")?;
    for named in [&["config", "check", &alone][..], &["config", "check", "--config", &alone]] {
        let ran = home.run(named, &[])?;
        ensure!(ran.out.contains(&alone) && !ran.out.contains("conf.d"), "{}", ran.out);
    }
    let ran = home.run(&["config", "check", &main], &[])?;
    ensure!(ran.out.contains(&main) && ran.out.contains(&third), "{}", ran.out);
    Ok(())
}

#[test]
fn two_main_files_are_one_too_many() -> Result<()> {
    let home = Home::new()?;
    home.write("ghostllm.toml", "")?;
    home.write("ghostllm.yaml", "")?;
    let ran = home.run(&["config", "check"], &[])?;
    ensure!(ran.code == Some(2) && ran.err.contains("take the other away"), "{:?}: {}", ran.code, ran.err);
    Ok(())
}

#[tokio::test]
async fn check_and_serve_tell_all_faults_at_once_with_their_places() -> Result<()> {
    let home = Home::new()?;
    let main = home.write(
        "ghostllm.toml",
        "[listen]\ntsl = \"[::]:0\"\nplain = [\"0.0.0.0:1\"]\n[limits]\nhandshake = 5\n[profiles.prod.log]\nlevl = \"warn\"\n",
    )?;
    let part = home
        .write("conf.d/a.yaml", "limits:\n  handshake: 5s\nbackends:\n- name: a\n  kind: gguf\nlog: &x\n")?;
    let other =
        home.write("conf.d/b.toml", "[[backends]]\nname = \"b\"\nkind = \"gguf\"\nurl = \"http://a\"\n")?;
    let variables = [("GHOSTLLM_LOG__LEVEL", "loud")];
    let check = ["config", "check", "--set", "lisen.tls=x"];
    let serve = ["serve", "--set", "lisen.tls=x"];
    let first = home.run(&check, &variables)?;
    for wanted in [
        format!("\n  {part}:6:"),
        format!("\n  {main}:2:1: unknown key \"tsl\" in [listen]; did you mean \"tls\"?\n"),
        format!("\n  {main}:5:13: limits.handshake: this is a number; expected a duration"),
        format!("\n  {main}:7:1: unknown key \"levl\" in [profiles.prod.log]; did you mean \"level\"?\n"),
        "\n  environment variable GHOSTLLM_LOG__LEVEL: log.level: \"loud\" is not known".to_owned(),
        "\n  --set lisen.tls: unknown key \"lisen\"; did you mean \"listen.tls\"?\n".to_owned(),
        "\nMend what stands there, and look again with `ghostllm config check`".to_owned(),
    ] {
        ensure!(first.err.contains(&wanted), "no {wanted} in\n{}", first.err);
    }
    ensure!(first.code == Some(2) && first.out.is_empty(), "{:?} {}", first.code, first.out);
    // Once every file can be parsed, what only all of them show is there as well.
    fs::write(&part, "limits:\n  handshake: 5s\nbackends:\n- name: a\n  kind: gguf\n")?;
    let second = home.run(&check, &variables)?;
    for wanted in [
        format!("\n  {main}:3:10: listen.plain: 0.0.0.0:1 can be reached from other machines"),
        format!("\n  {part}:4:9: backend \"a\" has no path"),
        format!("\n  {other}:4:7: backend \"b\" is a gguf file, which has no url"),
        "the configuration has 8 faults:".to_owned(),
    ] {
        ensure!(second.err.contains(&wanted), "no {wanted} in\n{}", second.err);
    }
    let served = home.run(&serve, &variables)?;
    ensure!(served.code == Some(2) && served.err == second.err, "serve says\n{}", served.err);
    Ok(())
}

/// It would hold again once the variable is gone, and a start refuses it as well.
#[test]
fn a_fault_that_another_source_lies_over_is_one_and_that_is_said() -> Result<()> {
    let home = Home::new()?;
    let file = home.write("ghostllm.toml", "[limits]\nbody = \"banana\"\n")?;
    for mode in [&["config", "check"] as &[&str], &["serve"]] {
        let ran = home.run(mode, &[("GHOSTLLM_LIMITS__BODY", "16MiB")])?;
        ensure!(
            ran.code == Some(2) && ran.err.contains(&format!("\n  {file}:2:8: limits.body: ")),
            "{}",
            ran.err
        );
        ensure!(ran.err.contains("what another source lies over counts as well"), "{}", ran.err);
    }
    Ok(())
}

#[test]
fn check_ends_with_0_where_nothing_is_wrong() -> Result<()> {
    let home = Home::new()?;
    let ran = home.run(&["config", "check"], &[])?;
    ensure!(ran.code == Some(0) && ran.out.contains("is sound"), "{:?}: {} {}", ran.code, ran.out, ran.err);
    let file = home.path("a.yml");
    fs::write(&file, "log: {level: debug}\nprofiles: {prod: {log: {level: warn}}}\n")?;
    for profile in [&[] as &[&str], &["--profile", "prod"]] {
        let ran = home.run(&[&["config", "check", &file], profile].concat(), &[])?;
        ensure!(ran.code == Some(0) && ran.out.contains(&file), "{:?}: {} {}", ran.code, ran.out, ran.err);
    }
    let ran = home.run(&["config", "check", &file, "--profile", "dev"], &[])?;
    ensure!(ran.code == Some(2) && ran.err.contains("the profiles that are there are prod"), "{}", ran.err);
    let ran = home.run(&["config", "check", &home.path("nowhere.toml")], &[])?;
    ensure!(ran.code == Some(2) && ran.err.contains("nowhere.toml"), "{}", ran.err);
    Ok(())
}

/// A table of the configuration: how its header is written, and its schema.
fn tables(schema: &Value) -> Result<Vec<(String, &Value)>> {
    let definition =
        |name: &str| schema["$defs"].get(name).with_context(|| format!("no {name} in the schema"));
    let mut tables = vec![(String::new(), schema)];
    for name in ["dev", "staging", "prod"] {
        tables.push((format!("[profiles.{name}]"), definition("profile")?));
    }
    for within in ["", "profiles.dev.", "profiles.staging.", "profiles.prod."] {
        for name in ["listen", "engine", "gpu", "limits", "log", "usage", "alerts"] {
            tables.push((format!("[{within}{name}]"), definition(name)?));
        }
        let backend = format!("[[{within}backends]]\nname = \"a\"");
        tables.push((format!("{backend}\n[{within}backends.timeouts]"), definition("backends.timeouts")?));
        tables.push((backend, definition("backends")?));
        for name in ["health", "models"] {
            tables.push((format!("[[{within}{name}]]\nname = \"a\""), definition(name)?));
        }
    }
    Ok(tables)
}

#[test]
fn a_stray_key_in_every_table_is_refused() -> Result<()> {
    let home = Home::new()?;
    let schema = serde_json::from_str(&home.run(&["config", "schema"], &[])?.out)?;
    let tables = tables(&schema)?;
    ensure!(tables.len() == 48, "{} tables", tables.len());
    // The program's own list of what stands at the top: a section that it reads and the schema lacks has no test here.
    let ran = home.run(&["config", "check", "--set", "strayed=1"], &[])?;
    let mut known: Vec<&str> = ran
        .err
        .lines()
        .filter_map(|line| line.split_once("the keys here are "))
        .flat_map(|(_, keys)| keys.split(", "))
        .collect();
    known.sort_unstable();
    let properties = schema["properties"].as_object().context("properties")?;
    ensure!(known == properties.keys().collect::<Vec<_>>(), "it reads {known:?}");
    let listed = ["", "[listen]", "[engine]", "[gpu]", "[limits]", "[log]", "[usage]", "[alerts]"];
    ensure!(
        properties.len() == listed.len() + ["backends", "health", "models", "profiles"].len(),
        "a section without a test: {known:?}"
    );
    for (header, _) in tables {
        let file = home.path("stray.toml");
        let line = header.lines().count() + 1;
        fs::write(&file, format!("{header}\nstrayed = 1\n").trim_start())?;
        let ran = home.run(&["config", "check", &file], &[])?;
        let line = if header.is_empty() { 1 } else { line };
        let wanted = format!("the configuration has 1 fault:\n  {file}:{line}:1: unknown key \"strayed\"");
        ensure!(ran.code == Some(2) && ran.err.contains(&wanted), "{header}: {:?}\n{}", ran.code, ran.err);
    }
    Ok(())
}

#[test]
fn a_wrong_type_in_every_setting_is_refused() -> Result<()> {
    let home = Home::new()?;
    let schema = serde_json::from_str(&home.run(&["config", "schema"], &[])?.out)?;
    for (header, table) in tables(&schema)?.into_iter().filter(|(header, _)| !header.is_empty()) {
        let keys: Vec<&String> = table["properties"].as_object().context("properties")?.keys().collect();
        // A profile's own keys are tables, which follow by themselves.
        let keys: Vec<_> =
            keys.into_iter().filter(|key| table["properties"][*key].get("$ref").is_none()).collect();
        let (mut text, first) = (format!("{header}\n"), header.lines().count() + 1);
        let mut wanted = Vec::new();
        for key in
            keys.into_iter().filter(|key| !["name", "backends", "health", "models"].contains(&key.as_str()))
        {
            wanted.push(format!(":{}:{}: ", first + wanted.len(), key.len() + 4));
            writeln!(text, "{key} = {{ a = 1 }}")?;
        }
        let file = home.path("types.toml");
        fs::write(&file, text)?;
        let ran = home.run(&["config", "check", &file], &[])?;
        let told = ran.err.lines().filter(|line| line.contains(": this is a table; expected ")).count();
        ensure!(told == wanted.len(), "{header}: {told} faults of {}\n{}", wanted.len(), ran.err);
        for place in wanted {
            ensure!(ran.err.contains(&format!("{file}{place}")), "{header}: none at {place}\n{}", ran.err);
        }
    }
    Ok(())
}

#[test]
fn a_renamed_key_is_told_its_new_name() -> Result<()> {
    let home = Home::new()?;
    let (old, new) = ("limits.h3_failure_linger", "limits.failure_linger");
    let told = format!(": \"{old}\" is now called \"{new}\"; rename it\n");
    for (name, text, place) in [
        ("a.toml", "[limits]\nh3_failure_linger = \"1s\"\n", ":2:1"),
        ("b.toml", "[profiles.dev.limits]\nh3_failure_linger = \"1s\"\n", ":2:1"),
        ("c.yaml", "limits:\n  h3_failure_linger: 1s\n", ":2:3"),
    ] {
        let file = home.path(name);
        fs::write(&file, text)?;
        let ran = home.run(&["config", "check", &file], &[])?;
        let line = format!("1 fault:\n  {file}{place}{told}");
        ensure!(ran.code == Some(2) && ran.err.contains(&line), "no {line} in\n{}", ran.err);
    }
    let ran = home.run(
        &["config", "check", "--set", "limits.h3_failure_linger=1s"],
        &[("GHOSTLLM_LIMITS__H3_FAILURE_LINGER", "1s")],
    )?;
    for place in ["environment variable GHOSTLLM_LIMITS__H3_FAILURE_LINGER", "--set limits.h3_failure_linger"]
    {
        ensure!(ran.code == Some(2) && ran.err.contains(&format!("{place}{told}")), "{}", ran.err);
    }
    Ok(())
}

#[test]
fn what_is_no_file_is_refused_and_never_waited_for() -> Result<()> {
    let home = Home::new()?;
    home.write("ghostllm.toml", "")?;
    let part = home.path(".config/ghostllm/conf.d/10-part.toml");
    let refused = |arguments: &[&str], path: &str, why: &str| {
        let ran = home.run(arguments, &[])?;
        let told = format!("the configuration {path} cannot be read: {why}");
        ensure!(ran.code == Some(2) && ran.err.contains(&told), "{arguments:?}: {:?}: {}", ran.code, ran.err);
        anyhow::Ok(())
    };
    // Nobody writes into it.
    ensure!(Command::new("mkfifo").arg(&part).status()?.success(), "mkfifo");
    for arguments in [&["config", "check"][..], &["config", "show", &part], &["serve"]] {
        refused(arguments, &part, "it is no file")?;
    }
    fs::remove_file(&part)?;
    std::os::unix::fs::symlink("/nowhere/part.toml", &part)?;
    refused(&["config", "check"], &part, "No such file")?;
    fs::remove_file(&part)?;
    let folder = home.path("");
    refused(&["config", "check", &folder], &folder, "it is a directory")?;
    refused(&["config", "check", "/dev/zero"], "/dev/zero", "it is larger than 1 MiB")?;
    let main = home.path(".config/ghostllm/ghostllm.toml");
    fs::remove_file(&main)?;
    std::os::unix::fs::symlink("/nowhere/main.toml", &main)?;
    refused(&["serve"], &main, "No such file")
}

#[test]
fn no_secret_is_taken_or_shown() -> Result<()> {
    let home = Home::new()?;
    let file = home.path("secret.toml");
    let key = home.path("key");
    fs::write(&key, "hunter2\n")?;
    let backend = |lines: &str| format!("[[backends]]\nname = \"a\"\nkind = \"openai\"\n{lines}\n");
    for lines in [
        "url = \"http://user:hunter2@box:1\"",
        "url = \"http://box:1\"\napi_key = \"hunter2\"",
        "url = \"http://box:1\"\npassword = \"hunter2\"",
        "url = \"http://box:1\"\nkey_file = \"sk-hunter2\"",
        "url = \"http://box:1\"\nkey_file = \"0123456789abcdefhunter2f\"",
    ] {
        fs::write(&file, backend(lines))?;
        let ran = home.run(&["config", "check", &file], &[])?;
        ensure!(ran.code == Some(2) && ran.err.contains("key_file"), "{:?}: {}", ran.code, ran.err);
        ensure!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
    fs::write(&file, backend(&format!("url = \"http://box:1\"\nkey_file = \"{key}\"")))?;
    let ran = home.run(&["config", "show", "--config", &file], &[("GHOSTLLM_KEY", "hunter2")])?;
    ensure!(
        ran.code == Some(0) && ran.out.contains(&format!("key_file = \"{key}\" # {file}:5:12")),
        "{}",
        ran.out
    );
    ensure!(!ran.out.contains("hunter2"), "{}", ran.out);
    Ok(())
}

#[tokio::test]
async fn a_credential_of_systemd_is_the_key() -> Result<()> {
    let credentials = tempfile::tempdir()?;
    fs::write(credentials.path().join("vllm-key"), "sk-of-systemd\n")?;
    let double = Double::start(OpenAi::new(Style::Vllm, "tiny")).await;
    let setup = Setup::default().with_backend("vllm", "openai", &double.url(), "key_file = \"vllm-key\"");
    let ended = Daemon::fail(&setup).await?;
    ensure!(ended.code == Some(2), "exit code {:?}:\n{}", ended.code, ended.stderr);
    for part in ["key_file of the backend \"vllm\"", "LoadCredential="] {
        ensure!(ended.stderr.contains(part), "no {part}:\n{}", ended.stderr);
    }
    ensure!(!ended.stderr.contains("vllm-key"), "it may be the secret itself:\n{}", ended.stderr);
    let directory = credentials.path().display().to_string();
    let daemon = Daemon::start(&setup.with_environment("CREDENTIALS_DIRECTORY", &directory)).await?;
    let answer = plain(daemon.plain(false)?, &Request::get("/v1/models")).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let sent =
        double.seen().iter().any(|seen| seen.request.header("authorization") == Some("Bearer sk-of-systemd"));
    ensure!(sent, "the backend was never sent the key");
    ensure!(!daemon.stderr().contains("sk-of-systemd"), "{}", daemon.stderr());
    daemon.stop().await
}

#[test]
fn what_cannot_be_printed_is_said() -> Result<()> {
    let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
    let ran = Command::new(binary("ghostllm")).args(["config", "example"]).stdout(full).output()?;
    let told = String::from_utf8(ran.stderr)?;
    ensure!(ran.status.code() == Some(1) && told.contains("standard output"), "{:?}: {told}", ran.status);
    // Whoever closes its end has read enough.
    let mut closed = Command::new(binary("ghostllm"))
        .args(["config", "example"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(closed.stdout.take());
    let ended = closed.wait_with_output()?;
    ensure!(ended.status.code() == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    Ok(())
}

#[test]
fn the_generated_documents_are_what_the_program_prints() -> Result<()> {
    let home = Home::new()?;
    for (command, file) in
        [("example", "ghostllm.toml"), ("reference", "configuration.md"), ("schema", "ghostllm.schema.json")]
    {
        let ran = home.run(&["config", command], &[])?;
        ensure!(ran.code == Some(0) && !ran.out.is_empty(), "{:?}: {}", ran.code, ran.err);
        let path = root().join("packaging/docs").join(file);
        let stored = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(
            stored == ran.out,
            "packaging/docs/{file} is not what `ghostllm config {command}` prints; `just docs` renews it"
        );
    }
    // The example is a sound file as it stands.
    let example = root().join("packaging/docs/ghostllm.toml").display().to_string();
    let ran = home.run(&["config", "check", &example], &[])?;
    ensure!(ran.code == Some(0), "{}", ran.err);
    Ok(())
}
