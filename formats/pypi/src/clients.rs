//! Real pip, uv and nginx judge a published tree over loopback.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    sync::{Arc, Mutex},
};

use chantal_contract::Place;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::{
    harness::{self, Source, Upstream, closure},
    judge::skip,
    set_up,
    simple::JSON_TYPE,
};

/// A published tree on disc, and an empty home for clients.
struct Site {
    root: TempDir,
}

impl Site {
    fn new() -> Self {
        let mut upstream = Upstream::default();
        upstream.wheel(
            "app",
            "1.0",
            &["lib-one>=1", "only-windows; sys_platform == 'win32'", "lib-one[more]"],
        )["requires-python"] = ">=3.8".into();
        upstream.wheel("lib-one", "1.0", &[])["upload-time"] = "2020-01-01T00:00:00Z".into();
        let newer = upstream.wheel("lib-one", "2.0", &["extra-thing ; extra == 'more'"]);
        newer["upload-time"] = "2024-06-01T00:00:00Z".into();
        upstream.wheel("lib-one", "3.0", &[])["yanked"] = "broken".into();
        upstream.wheel("extra-thing", "0.1", &[]);
        let python = Command::new("python3")
            .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
            .output()
            .map_or_else(|_| "3.11".into(), |out| String::from_utf8(out.stdout).unwrap().trim().to_owned());
        let mut options = closure(&["app"]);
        options.environments = vec![harness::linux(&python)];
        let tree = harness::mirror(options, &Source::Served(&upstream.served())).unwrap().publish();
        let root = TempDir::new().unwrap();
        for (path, bytes) in &tree {
            let path = root.path().join("tree").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir(root.path().join("home")).unwrap();
        Self { root }
    }

    fn tree(&self) -> PathBuf {
        self.root.path().join("tree")
    }

    /// Writes the set-up files for `base` and returns where they lie.
    fn configured(&self, base: &str) -> PathBuf {
        let place = Place {
            name: "wheels".into(),
            base: base.into(),
            keys: None,
            metadata_signed: false,
            packages_signed: false,
            at: Timestamp::UNIX_EPOCH,
        };
        for file in set_up::files(&place) {
            fs::write(self.root.path().join(&file.name), file.text).unwrap();
        }
        self.root.path().to_owned()
    }

    /// Runs a client that knows nothing but the set-up files; none where it is not installed.
    fn client(&self, program: &str, arguments: &[&str], configuration: &Path) -> Option<Output> {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if ["PIP_", "UV_", "HTTP", "http", "ALL_PROXY"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.root.path())
            .env("HOME", self.root.path().join("home"))
            .env("NO_PROXY", "127.0.0.1")
            .env("PIP_CONFIG_FILE", configuration.join("pip.conf"))
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("UV_CONFIG_FILE", configuration.join("uv.toml"))
            .env("UV_CACHE_DIR", self.root.path().join("uv-cache"));
        match command.output() {
            Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("No module named pip") => {
                Some(output)
            }
            _ => {
                skip(program);
                None
            }
        }
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.root.path().join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn succeeded(output: &Output) -> String {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// Whether a server of files chooses a directory's index by what the client accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serving {
    /// As `python3 -m http.server` does.
    Plain,
    /// As the set-up files say.
    ByAccept,
}

/// A server of files on loopback that notes what it was asked for.
struct Server {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(tree: PathBuf, serving: Serving) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tree, notes) = (tree.clone(), Arc::clone(&notes));
                std::thread::spawn(move || {
                    let _ = answer(&stream.unwrap(), &tree, serving, &notes);
                });
            }
        });
        Self { base, asked }
    }

    fn was_asked(&self, suffix: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|path| path.ends_with(suffix))
    }
}

fn answer(
    stream: &TcpStream,
    tree: &Path,
    serving: Serving,
    notes: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let headers: BTreeMap<String, String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())))
        .collect();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    notes.lock().unwrap().push(path.to_owned());
    let json = serving == Serving::ByAccept && headers.get("accept").is_some_and(|a| a.contains(JSON_TYPE));
    let index = if json { "index.json" } else { "index.html" };
    let mut file = path.trim_start_matches('/').to_owned();
    if file.is_empty() || file.ends_with('/') {
        file.push_str(index);
    }
    let kind = match file.rsplit('.').next() {
        Some("html") => "text/html",
        Some("json") => JSON_TYPE,
        _ => "application/octet-stream",
    };
    let (status, bytes) = match fs::read(tree.join(&file)) {
        Ok(bytes) => ("200 OK", bytes),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let mut stream = stream;
    let length = bytes.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(&bytes) }
}

#[test]
fn pip_installs_from_a_plain_server_with_the_set_up_file_alone() {
    for serving in [Serving::Plain, Serving::ByAccept] {
        let site = Site::new();
        let server = Server::start(site.tree(), serving);
        let configuration = site.configured(&server.base);
        let arguments = ["-m", "pip", "install", "--target", "installed", "app==1.0"];
        let Some(output) = site.client("python3", &arguments, &configuration) else { return };
        succeeded(&output);
        let names = site.names("installed");
        for name in ["app", "lib_one-2.0.dist-info", "extra_thing"] {
            assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
        }
        assert!(!server.was_asked("only-windows/"), "a marker was ignored");
        let download = ["-m", "pip", "download", "--no-deps", "-d", "pinned", "lib-one==3.0", "-v"];
        let Some(output) = site.client("python3", &download, &configuration) else { return };
        assert!(!output.status.success(), "a yanked version that nobody pinned upstream was mirrored");
        let unknown = ["-m", "pip", "download", "--no-deps", "-d", "pinned", "nothing-here"];
        let Some(output) = site.client("python3", &unknown, &configuration) else { return };
        assert!(!output.status.success());
    }
}

#[test]
fn pip_reads_metadata_before_it_fetches_wheels() {
    let site = Site::new();
    let server = Server::start(site.tree(), Serving::ByAccept);
    let configuration = site.configured(&server.base);
    let arguments =
        ["-m", "pip", "install", "--dry-run", "--ignore-installed", "--report", "report.json", "app"];
    let Some(output) = site.client("python3", &arguments, &configuration) else { return };
    let said = succeeded(&output);
    assert!(said.contains("app-1.0") && said.contains("lib-one-2.0"), "{said}");
    assert!(server.was_asked("app-1.0-py3-none-any.whl.metadata"));
}

#[test]
fn pip_installs_from_a_directory() {
    let site = Site::new();
    let configuration = site.configured(&format!("file://{}", site.tree().display()));
    let arguments = ["-m", "pip", "install", "--target", "installed", "app"];
    let Some(output) = site.client("python3", &arguments, &configuration) else { return };
    succeeded(&output);
    assert!(site.names("installed").iter().any(|n| n == "lib_one-2.0.dist-info"));
}

#[test]
fn pip_accepts_the_digests_that_pages_state() {
    let site = Site::new();
    let server = Server::start(site.tree(), Serving::Plain);
    let configuration = site.configured(&server.base);
    let wheel = site.tree().join("packages/lib-one/lib_one-2.0-py3-none-any.whl");
    let digest = chantal_contract::Digest::of(&fs::read(&wheel).unwrap());
    fs::write(site.root.path().join("r.txt"), format!("lib-one==2.0 --hash=sha256:{digest}\n")).unwrap();
    let arguments = ["-m", "pip", "download", "--require-hashes", "-r", "r.txt", "-d", "fetched"];
    let Some(output) = site.client("python3", &arguments, &configuration) else { return };
    succeeded(&output);
    fs::write(&wheel, b"another").unwrap();
    let arguments = ["-m", "pip", "download", "--no-cache-dir", "--no-deps", "lib-one==2.0", "-d", "again"];
    let Some(output) = site.client("python3", &arguments, &configuration) else { return };
    assert!(!output.status.success(), "a changed wheel was accepted");
}

#[test]
fn uv_resolves_installs_and_honours_upload_times() {
    let site = Site::new();
    let server = Server::start(site.tree(), Serving::ByAccept);
    let configuration = site.configured(&server.base);
    fs::write(site.root.path().join("app.in"), "app\n").unwrap();
    let Some(output) = site.client("uv", &["pip", "compile", "app.in", "-q"], &configuration) else { return };
    let said = succeeded(&output);
    for pin in ["app==1.0", "lib-one==2.0", "extra-thing==0.1"] {
        assert!(said.contains(pin), "{pin}: {said}");
    }
    assert!(server.was_asked(".whl.metadata"));
    fs::write(site.root.path().join("lib.in"), "lib-one\n").unwrap();
    let before = ["pip", "compile", "lib.in", "-q", "--exclude-newer", "2021-01-01T00:00:00Z"];
    let said = succeeded(&site.client("uv", &before, &configuration).unwrap());
    assert!(said.contains("lib-one==1.0"), "exclude-newer needs upload times: {said}");
    let install = ["pip", "install", "--target", "installed", "app"];
    succeeded(&site.client("uv", &install, &configuration).unwrap());
    assert!(site.names("installed").iter().any(|n| n == "lib_one-2.0.dist-info"));
    let plain = Server::start(site.tree(), Serving::Plain);
    let configuration = site.configured(&plain.base);
    succeeded(&site.client("uv", &["pip", "compile", "app.in", "-q", "--no-cache"], &configuration).unwrap());
}

/// An nginx with the published snippet; it ends with this value.
struct Nginx(Child);
impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nginx_gives_json_to_those_who_ask_with_the_set_up_file() {
    let site = Site::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let base = format!("http://127.0.0.1:{port}");
    let directory = site.configured(&base);
    let snippet = fs::read_to_string(directory.join("nginx.conf")).unwrap();
    let (map, inner) = snippet.split_once("# Into the server block:\n").unwrap();
    let location = inner.replace("#   ", "");
    let at = directory.display();
    let whole = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n\
         client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3; uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;\n\
         {map}\nserver {{ listen 127.0.0.1:{port}; root {};\n{location}\n}} }}\n",
        site.tree().display()
    );
    fs::write(directory.join("whole.conf"), whole).unwrap();
    let started =
        Command::new("nginx").args(["-e", "stderr", "-c"]).arg(directory.join("whole.conf")).spawn();
    let Ok(child) = started else {
        skip("nginx");
        return;
    };
    let mut nginx = Nginx(child);
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        assert!(nginx.0.try_wait().unwrap().is_none(), "nginx refused its configuration");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let get = |accept: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET /simple/lib-one/ HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\n\r\n").unwrap();
        std::io::read_to_string(stream).unwrap()
    };
    let json = get(crate::simple::ACCEPT);
    assert!(
        json.contains(&format!("Content-Type: {JSON_TYPE}")) && json.contains("\"upload-time\""),
        "{json}"
    );
    let html = get("text/html");
    assert!(html.contains("Content-Type: text/html") && html.contains("<!DOCTYPE html>"), "{html}");
    assert!(html.contains("Vary: Accept"));
    fs::write(site.root.path().join("lib.in"), "lib-one\n").unwrap();
    let before = ["pip", "compile", "lib.in", "-q", "--exclude-newer", "2021-01-01T00:00:00Z"];
    if let Some(output) = site.client("uv", &before, &directory) {
        assert!(succeeded(&output).contains("lib-one==1.0"));
    }
}
