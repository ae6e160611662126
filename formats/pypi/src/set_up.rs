//! Files that set clients and web servers up.

use chantal_contract::{Keeper, Place, SetUp};
use url::Url;

use crate::simple::JSON_TYPE;

/// Writes `pip.conf`, `uv.toml` and what a web server should know.
pub(crate) fn files(place: &Place) -> Vec<SetUp> {
    let index = format!("{}/simple/", place.base);
    vec![
        SetUp {
            name: "pip.conf".into(),
            keeper: Keeper::Client,
            install_to: "/etc/pip.conf, ~/.config/pip/pip.conf, or pip.conf of a virtual environment".into(),
            text: pip(place, &index),
        },
        SetUp {
            name: "uv.toml".into(),
            keeper: Keeper::Client,
            install_to: "/etc/uv/uv.toml or ~/.config/uv/uv.toml".into(),
            text: uv(place, &index),
        },
        SetUp {
            name: "nginx.conf".into(),
            keeper: Keeper::Server,
            install_to: "the http block of nginx, where the server is nginx".into(),
            text: nginx(place),
        },
        SetUp {
            name: "apache.conf".into(),
            keeper: Keeper::Server,
            install_to: "/etc/apache2/conf-enabled/, where the server is Apache".into(),
            text: apache(),
        },
    ]
}

/// Returns host and port of an address without TLS, which pip and uv use only when told to.
fn plain_host(index: &str) -> Option<String> {
    let url = Url::parse(index).ok().filter(|url| url.scheme() == "http")?;
    let host = url.host_str()?.to_owned();
    Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

/// Quotes a text for TOML.
fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn pip(place: &Place, index: &str) -> String {
    // pip expands %(name)s in its configuration.
    let mut text = format!("# {}, for pip\n[global]\nindex-url = {}\n", place.name, index.replace('%', "%%"));
    if let Some(host) = plain_host(index) {
        text.push_str("# The address has no TLS: pip checks digests, but not who answers.\n");
        text.extend(["trusted-host = ", &host, "\n"]);
    }
    text
}

fn uv(place: &Place, index: &str) -> String {
    let mut text = format!(
        "# {}, for uv\n[[index]]\nname = {}\nurl = {}\ndefault = true\n",
        place.name,
        toml(&place.name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_', "-")),
        toml(index),
    );
    text.push_str(
        "# `exclude-newer` needs upload times, which only the JSON pages hold: see nginx.conf and apache.conf.\n",
    );
    text
}

fn nginx(place: &Place) -> String {
    let path = Url::parse(&place.base).map_or_else(|_| String::new(), |url| url.path().to_owned());
    let path = path.trim_end_matches('/');
    format!(
        "# {name}, for nginx: pages in JSON for clients that ask for them (PEP 691), HTML for others.
map $http_accept $simple_index {{
    default index.html;
    ~application/vnd\\.pypi\\.simple\\.v1\\+json index.json;
}}
# Into the server block:
#   location ^~ {path}/simple/ {{
#       index $simple_index;
#       types {{ text/html html; {JSON_TYPE} json; }}
#       add_header Vary Accept;
#   }}
",
        name = place.name,
    )
}

fn apache() -> String {
    format!(
        "# Pages in JSON for clients that ask for them (PEP 691), HTML for others; needs mod_rewrite and mod_headers.
<LocationMatch \"/simple/\">
    DirectoryIndex index.html
    <If \"%{{HTTP_ACCEPT}} =~ m#{pattern}#\">
        DirectoryIndex index.json
    </If>
    AddType {JSON_TYPE} .json
    Header merge Vary Accept
</LocationMatch>
",
        pattern = r"application/vnd\.pypi\.simple\.v1\+json",
    )
}

#[cfg(test)]
mod tests;
