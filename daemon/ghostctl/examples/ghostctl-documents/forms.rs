//! What each command prints with `--json`: the form's name in `admin-api.schema.json`.

/// By the command's words, one line each.
pub(crate) const FORMS: &[(&str, &str)] = &[
    ("audit", "AuditLog"),
    ("backends ls", "BackendList"),
    ("backends test", "BackendList"),
    ("backup", "Manifest"),
    ("cert export", "Certificates"),
    ("cert fingerprint", "Certificates"),
    ("cert renew", "Renewed"),
    ("cert show", "Certificates"),
    ("config check", "Checked"),
    ("config set", "Reloaded"),
    ("config show", "ConfigShown"),
    ("config unset", "Reloaded"),
    ("doctor", "DoctorReport"),
    ("gpu history", "GpuHistory"),
    ("gpu", "GpuReport"),
    ("keys create", "MadeKey"),
    ("keys first", "FirstKey"),
    ("keys ls", "KeyList"),
    ("keys revoke", "KeyList"),
    ("keys rotate", "MadeKey"),
    ("models ls", "ModelList"),
    ("models ps", "ModelList"),
    ("reload", "Reloaded"),
    ("requests cancel", "Cancelled"),
    ("requests ls", "RequestList"),
    ("restore", "Restored, with \\-\\-list Manifest"),
    ("status", "Status"),
    ("tasks", "TaskList"),
    ("usage", "UsageReport"),
    ("version", "Versions"),
];

/// The same of those that print a line for each thing that happens, or has happened.
pub(crate) const EACH: &[(&str, &str)] = &[("events", "Event"), ("logs", "LogEntry")];
