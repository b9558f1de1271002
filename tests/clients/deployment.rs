//! The files that pollcast is run by, held up to the tools that know them: systemd, hadolint, the
//! schemas of Kubernetes. And pollcast itself, with no more rights than those files give it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_yaml::Value;

use crate::foreign::{folder, program};
use crate::support::client::subscribe;
use crate::support::eventually;
use crate::support::proxy::{Proxy, is_gone};
use crate::support::upstream::{Reply, Upstream};

const UNIT: &str = "config/pollcast.service";
const DOCKERFILE: &str = "config/Dockerfile";
/// The most that `systemd-analyze security` may find, in tenths of its scale from 0 to 10.
const EXPOSURE: &str = "--threshold=15";
/// What the image's base has of what programs are linked to (distroless `cc-debian12`).
const LIBRARIES: &[&str] = &[
    "linux-vdso.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
];

fn text(file: impl AsRef<Path>) -> String {
    let file = file.as_ref();
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// What it says, which must be a success.
#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) = (
        String::from_utf8_lossy(&stdout).into_owned(),
        String::from_utf8_lossy(&stderr).into_owned(),
    );
    assert!(status.success(), "{command:?}: {said}{complained}");
    said + &complained
}

fn pollcast() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pollcast"))
}

/// A program of the tests' own Python.
fn of_python(name: &str) -> Command {
    Command::new(folder().join(".venv/bin").join(name))
}

/// The values of a key of the unit.
fn settings(key: &str) -> Vec<String> {
    let text = text(UNIT);
    let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
    text.lines().filter_map(value).collect()
}

fn seconds(duration: &str) -> u64 {
    let duration = humantime::parse_duration(duration).expect("a duration");
    duration.as_secs()
}

#[test]
fn the_unit_is_right_and_gives_little_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("pollcast.service");
    let binary = env!("CARGO_BIN_EXE_pollcast");
    fs::write(
        &unit,
        text(UNIT).replace("/usr/bin/pollcast ", &format!("{binary} ")),
    )
    .expect("a file");
    let analyze = || Command::new(program("systemd-analyze"));
    let said = succeeds(analyze().args(["verify", "--man=no"]).arg(&unit));
    let about_it = |line: &&str| line.contains("pollcast.service");
    assert_eq!(said.lines().find(about_it), None);
    let security = ["security", "--offline=true", "--no-pager", EXPOSURE];
    succeeds(analyze().args(security).arg(&unit));
}

/// Without them topics have no bound of memory together, and every crash begins another epoch.
#[test]
fn the_unit_lets_pollcast_see_the_machines_memory_and_which_life_of_it_this_is() {
    let is_hidden = |key: &str, value: &str| settings(key).iter().any(|it| it == value);
    assert!(!is_hidden("ProcSubset", "pid"));
    let hidden = settings("InaccessiblePaths").concat();
    assert!(!hidden.contains("/proc") && !hidden.contains("/sys/fs/cgroup"));
}

#[test]
fn the_unit_waits_longer_than_pollcast_takes_to_leave() {
    let check = text("src/config/keys.rs");
    assert!(check.contains("\"drain\""), "the key has another name now");
    let stop = seconds(&settings("TimeoutStopSec")[0]);
    assert!(
        stop > 5,
        "server.drain is 5s unless the file says otherwise"
    );
    for key in ["ExecStart", "ExecStartPre"] {
        assert!(settings(key)[0].starts_with("/usr/bin/pollcast "));
    }
}

/// A feed whose filter runs in a process of its own, which streams and is upgraded meanwhile.
fn works(mut proxy: Proxy, next: impl Fn()) {
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    next();
    stream.event().expect("a change");
    let before = proxy.pid();
    proxy.upgrade();
    eventually("the old one leaves", || is_gone(before));
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    next();
    stream.event().expect("a change");
    proxy.signal("TERM");
    let last = proxy.pid();
    eventually("it leaves", || is_gone(last));
    assert!(!proxy.log().contains("ERROR"), "{}", proxy.log());
}

fn counted() -> (Upstream, impl Fn(), String) {
    let (upstream, document) = Upstream::with_document("{\"n\":0}");
    let config = format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 20ms }}, document: {{ transform: \".n\" }} }}]\n",
        upstream.url()
    );
    let next = move || {
        let mut document = document.lock().unwrap();
        let number: u64 = document[5..document.len() - 1].parse().expect("a number");
        *document = format!("{{\"n\":{}}}", number + 1);
    };
    (upstream, next, config)
}

/// Everything of the unit that a process can give up without a service manager: the capabilities,
/// new rights, memory that is written and run (from Linux 6.3 on), and root, if it is root.
#[test]
fn pollcast_works_with_the_rights_that_the_unit_leaves_it() {
    const MDWE: &str = "import ctypes, errno, os, sys\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        assert libc.prctl(65, 1, 0, 0, 0) == 0 or ctypes.get_errno() == errno.EINVAL\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let (_upstream, next, config) = counted();
    let mut command = of_python("python");
    command.args(["-c", MDWE]).arg(program("setpriv"));
    command.args(["--no-new-privs", "--inh-caps=-all"]);
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if is_root {
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        command.args(nobody).arg("--bounding-set=-all");
    }
    command.arg(env!("CARGO_BIN_EXE_pollcast"));
    let proxy = Proxy::start_by(command, &config, readable());
    let status = text(format!("/proc/{}/status", proxy.pid()));
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .map(str::to_owned)
    };
    assert_eq!(line("NoNewPrivs:").as_deref(), Some("1"));
    if is_root {
        assert_eq!(line("CapBnd:").as_deref(), Some("0000000000000000"));
        assert_eq!(line("Uid:").as_deref(), Some("65534"));
    }
    works(proxy, next);
}

/// A folder that another user may read.
fn readable() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let everybody = PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), everybody).expect("to be read");
    folder
}

#[test]
fn pollcast_calls_nothing_that_the_unit_forbids() {
    let (_upstream, next, config) = counted();
    let folder = tempfile::tempdir().expect("a folder");
    let traced = folder.path().join("calls");
    let mut command = Command::new(program("strace"));
    // As a grandchild, so that the process is pollcast itself.
    command
        .args(["-D", "-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&traced);
    command.arg(env!("CARGO_BIN_EXE_pollcast"));
    let proxy = Proxy::start_by(command, &config, tempfile::tempdir().expect("a folder"));
    works(proxy, next);
    let calls: BTreeSet<String> = text(&traced).lines().filter_map(called).collect();
    assert!(
        calls.contains("accept4") && calls.contains("execve"),
        "{calls:?}"
    );
    let mut allowed = BTreeSet::new();
    for setting in settings("SystemCallFilter") {
        let (is_denied, sets) = match setting.strip_prefix('~') {
            Some(sets) => (true, sets),
            None => (false, setting.as_str()),
        };
        for name in sets.split(' ').flat_map(filtered) {
            if is_denied {
                allowed.remove(&name);
            } else {
                allowed.insert(name);
            }
        }
    }
    let forbidden: Vec<_> = calls.difference(&allowed).collect();
    assert_eq!(forbidden, Vec::<&String>::new());
}

/// The system call of a line of strace's.
fn called(line: &str) -> Option<String> {
    let (_, call) = line.split_once(' ')?;
    let (name, _) = call.trim_start().split_once('(')?;
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !name.is_empty()).then(|| name.to_owned())
}

/// The system calls of a set, or the one of this name.
fn filtered(name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let mut analyze = Command::new(program("systemd-analyze"));
    let said = succeeds(analyze.args(["syscall-filter", "--no-pager", name]));
    let lines = said.lines().skip(1).map(str::trim);
    let members = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    members.flat_map(filtered).collect()
}

/// Every object of the manifests.
fn manifests() -> Vec<(PathBuf, Value)> {
    let files = fs::read_dir("config/kubernetes").expect("a folder");
    let files = files.map(|file| file.expect("a file").path());
    files
        .map(|file| {
            let object = serde_yaml::from_str(&text(&file)).expect("YAML");
            (file, object)
        })
        .collect()
}

fn manifest(kind: &str) -> Value {
    let mut all = manifests().into_iter().map(|(_, object)| object);
    all.find(|object| object["kind"] == kind)
        .expect("a manifest")
}

/// The configuration of the ConfigMap, and the file that it becomes.
fn mounted() -> (Value, tempfile::TempDir) {
    let map = manifest("ConfigMap");
    let written = map["data"]["pollcast.yaml"].as_str().expect("a file");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("pollcast.yaml"), written).expect("a file");
    (serde_yaml::from_str(written).expect("YAML"), folder)
}

#[test]
fn the_manifests_are_what_kubernetes_takes() {
    for (file, _) in manifests() {
        for version in ["1.31", "1.37"] {
            let mut validate = of_python("kubernetes-validate");
            succeeds(validate.args(["--strict", "-k", version]).arg(&file));
        }
    }
}

#[test]
fn the_manifests_agree_with_each_other_and_with_pollcast() {
    let (config, folder) = mounted();
    succeeds(
        pollcast()
            .args(["check", "-c"])
            .arg(folder.path().join("pollcast.yaml")),
    );
    let deployment = manifest("Deployment");
    let pod = &deployment["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let name = &pod["metadata"]["labels"];
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &manifest("Service")["spec"]["selector"],
        &manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ] {
        assert_eq!(selector, name);
    }
    let listen = config["server"]["listen"].as_str().expect("an address");
    let port = container["ports"][0]["containerPort"]
        .as_u64()
        .expect("a port");
    assert_eq!(listen, format!("0.0.0.0:{port}"));
    let named = &container["ports"][0]["name"];
    assert_eq!(
        &manifest("Service")["spec"]["ports"][0]["targetPort"],
        named
    );
    assert_eq!(
        &manifest("NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"],
        named
    );
    let mount = container["volumeMounts"][0]["mountPath"]
        .as_str()
        .expect("a path");
    assert_eq!(container["args"][2], format!("{mount}/pollcast.yaml"));
    assert_eq!(
        pod["spec"]["volumes"][0]["configMap"]["name"],
        manifest("ConfigMap")["metadata"]["name"]
    );
    let upstream = config["upstreams"]["legacy"]["url"]
        .as_str()
        .expect("a URL");
    let egress = &manifest("NetworkPolicy")["spec"]["egress"][1]["ports"][0]["port"];
    assert!(upstream.ends_with(&format!(":{}", egress.as_u64().expect("a port"))));

    let drain = seconds(config["server"]["drain"].as_str().expect("a duration"));
    let before = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64();
    assert!(grace.expect("a time") > before.expect("a time") + drain);
}

#[test]
fn the_probes_ask_what_pollcast_answers() {
    let (config, _folder) = mounted();
    let admin = config["admin"]["listen"].as_str().expect("an address");
    let (upstream, _document) = Upstream::with_document("[1]");
    let mut proxy = Proxy::with_feed(&upstream.url(), "");
    let deployment = manifest("Deployment");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let command = container[probe]["exec"]["command"]
            .as_sequence()
            .expect("a command");
        let words: Vec<_> = command
            .iter()
            .map(|word| word.as_str().expect("text"))
            .collect();
        assert_eq!(&words[..2], ["/usr/bin/pollcast", "ready"]);
        // Without a URL it asks the port that is used where the configuration names none.
        let url = words
            .get(2)
            .copied()
            .unwrap_or("http://127.0.0.1:9091/readyz");
        let (host, path) = url["http://".len()..].split_once('/').expect("a path");
        assert_eq!(host, admin);
        let said = succeeds(pollcast().args(["ready", &proxy.admin_url(&format!("/{path}"))]));
        assert!(said.starts_with("200 OK"), "{said}");
    }
    let url = proxy.admin_url("/readyz");
    proxy.signal("TERM");
    proxy.exit_status();
    let output = pollcast().args(["ready", &url]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(complained.contains("does not answer"), "{complained}");
}

#[test]
fn ready_tells_by_its_exit_code_what_it_is_answered() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/hangs" => Reply::Hang,
        _ => Reply::status(503, "leaving\nmore"),
    });
    let url = upstream.url();
    let output = pollcast()
        .args(["ready", &format!("{url}/readyz")])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"503 Service Unavailable: leaving\n");
    let hangs = format!("{url}/hangs");
    let output = pollcast()
        .args(["ready", "--timeout", "100ms", &hangs])
        .output();
    assert_eq!(output.expect("it runs").status.code(), Some(1));
    let output = pollcast().args(["ready", "no url"]).output();
    assert_eq!(output.expect("it runs").status.code(), Some(2));
}

/// Pod Security Standards, "restricted":
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
#[test]
fn the_pods_are_restricted() {
    let deployment = manifest("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    for forbidden in [
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "initContainers",
        "ephemeralContainers",
    ] {
        assert!(pod.get(forbidden).is_none(), "{forbidden}");
    }
    let own = &pod["securityContext"];
    assert_eq!(own["runAsNonRoot"], true);
    assert_ne!(own["runAsUser"], 0);
    assert_eq!(own["seccompProfile"]["type"], "RuntimeDefault");
    assert!(own.get("sysctls").is_none());
    let allowed = [
        "configMap",
        "emptyDir",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in pod["volumes"].as_sequence().expect("volumes") {
        let kinds = volume
            .as_mapping()
            .expect("a volume")
            .keys()
            .filter_map(Value::as_str);
        let mut kinds = kinds.filter(|key| *key != "name");
        assert!(kinds.all(|kind| allowed.contains(&kind)), "{volume:?}");
    }
    for container in pod["containers"].as_sequence().expect("containers") {
        let own = &container["securityContext"];
        assert_eq!(own["allowPrivilegeEscalation"], false);
        assert_eq!(own["readOnlyRootFilesystem"], true);
        assert_eq!(own["capabilities"]["drop"][0], "ALL");
        for forbidden in ["privileged", "procMount", "runAsUser"] {
            assert!(own.get(forbidden).is_none(), "{forbidden}");
        }
        assert!(own["capabilities"].get("add").is_none());
        let ports = container["ports"].as_sequence().expect("ports");
        assert!(ports.iter().all(|port| port.get("hostPort").is_none()));
        assert!(container["resources"]["limits"].get("memory").is_some());
    }
}

/// The instructions of the Dockerfile, with what was continued put together.
fn instructions() -> Vec<(String, String)> {
    let whole = text(DOCKERFILE).replace("\\\n", " ");
    let lines = whole.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
        .collect()
}

fn instruction(word: &str) -> String {
    let mut all = instructions().into_iter().rev();
    all.find(|(each, _)| each == word)
        .expect("an instruction")
        .1
}

#[test]
fn the_dockerfile_is_right() {
    succeeds(of_python("hadolint").args(["--failure-threshold", "style", DOCKERFILE]));
}

#[test]
fn whatever_the_image_is_made_of_is_there_and_is_sent_to_the_daemon() {
    let ignored = text(".dockerignore");
    let sent: Vec<_> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for (word, rest) in instructions() {
        if word != "COPY" || rest.starts_with("--from") {
            continue;
        }
        let words: Vec<_> = rest.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(Path::new(source).exists(), "{source}");
            let is_sent = sent.iter().any(|path| Path::new(source).starts_with(path));
            assert!(is_sent, "{source} is not among {sent:?}");
        }
    }
    for path in sent {
        assert!(Path::new(path).exists(), "{path}");
    }
}

/// The manifest must be read where only this much of the repository is.
#[test]
fn cargo_understands_what_is_sent_to_the_daemon() {
    let context = tempfile::tempdir().expect("a folder");
    let ignored = text(".dockerignore");
    for path in ignored.lines().filter_map(|line| line.strip_prefix('!')) {
        let to = context.path().join(path);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        succeeds(Command::new("cp").arg("-r").arg(path).arg(to));
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "tree",
        "--locked",
        "--offline",
        "--edges",
        "normal",
        "--depth",
        "0",
    ]);
    let said = succeeds(cargo.current_dir(context.path()));
    assert!(said.starts_with("pollcast v"), "{said}");
}

#[test]
fn the_program_needs_nothing_that_the_image_has_not() {
    let stages: Vec<_> = instructions()
        .into_iter()
        .filter(|(word, _)| word == "FROM")
        .collect();
    let (build, last) = (&stages[0].1, &stages[1].1);
    assert!(
        build.contains("-bookworm") && last.contains("debian12"),
        "one glibc: {build}, {last}"
    );
    assert!(last.ends_with(":nonroot"), "{last}");
    let said = succeeds(Command::new(program("ldd")).arg(env!("CARGO_BIN_EXE_pollcast")));
    for line in said.lines() {
        let library = line.split_whitespace().next().expect("a name");
        let name = Path::new(library)
            .file_name()
            .expect("a name")
            .to_string_lossy();
        assert!(LIBRARIES.contains(&name.as_ref()), "{line}");
    }
}

#[test]
fn the_image_runs_what_its_configuration_says() {
    let config: Value = serde_yaml::from_str(&text("config/container.yaml")).expect("YAML");
    let listen = config["server"]["listen"].as_str().expect("an address");
    assert_eq!(listen, format!("0.0.0.0:{}", instruction("EXPOSE")));
    assert_eq!(
        config["admin"]["listen"], "127.0.0.1:9091",
        "what `pollcast ready` asks"
    );
    assert!(instruction("HEALTHCHECK").ends_with("CMD [\"/usr/bin/pollcast\", \"ready\"]"));
    assert_eq!(instruction("ENTRYPOINT"), "[\"/usr/bin/pollcast\"]");
    assert_eq!(instruction("USER"), "65532:65532");
    let words: Vec<String> = serde_yaml::from_str(&instruction("CMD")).expect("a list");
    assert_eq!(words[..2], ["run", "-c"]);
    let copied = format!("config/container.yaml {}", words[2]);
    assert!(instructions().contains(&("COPY".to_owned(), copied)));
    // With nothing of a machine but the program and its file, as in the image.
    let mut check = pollcast();
    check
        .env_clear()
        .args(["check", "-c", "config/container.yaml"]);
    succeeds(
        check
            .env("UPSTREAM", "http://legacy:9000")
            .env("FEED", "/orders"),
    );
}
