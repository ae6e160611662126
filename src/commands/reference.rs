//! What is generated from the code: command reference, configuration reference, manual pages.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory};
use serde_json::Value;

use super::Cli;
use crate::config::Config;

/// Returns the manual pages with their file names, that of the program first.
pub fn man_pages() -> anyhow::Result<Vec<(String, String)>> {
    fn visit(command: &Command, name: &str, pages: &mut Vec<(String, String)>) -> anyhow::Result<()> {
        let mut text = Vec::new();
        let own: &'static str = String::leak(name.to_owned());
        let shown = command.clone().name(own).display_name(own).bin_name(name.replace('-', " "));
        clap_mangen::Man::new(shown).date("").render(&mut text)?;
        pages.push((format!("{name}.1"), String::from_utf8(text)?));
        for sub in command.get_subcommands() {
            visit(sub, &format!("{name}-{}", sub.get_name()), pages)?;
        }
        Ok(())
    }
    let mut root = Cli::command();
    root.build();
    let mut pages = Vec::new();
    visit(&root, "chantal", &mut pages)?;
    Ok(pages)
}

/// Returns `docs/reference/commands.md`.
pub fn commands() -> String {
    let mut root = Cli::command();
    root.build();
    let mut out = String::from(
        "# Commands\n\n<!-- generated from the code; `CHANTAL_BLESS=1 cargo test` writes it anew -->\n\n",
    );
    let about =
        root.get_long_about().or_else(|| root.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(out, "{about}\n\n## Global options\n");
    for arg in root.get_arguments().filter(|arg| arg.is_global_set()) {
        option(&mut out, arg);
    }
    out.push_str(
        "\n## Exit codes\n\n| code | meaning |\n|---|---|\n| 0 | done |\n| 1 | failed |\n| 2 | the command line or the \
         configuration is wrong |\n| 3 | refused by verification |\n| 4 | partly done |\n",
    );
    for sub in root.get_subcommands() {
        section(&mut out, sub, "chantal", 2);
    }
    out
}

fn section(out: &mut String, command: &Command, above: &str, level: usize) {
    let name = format!("{above} {}", command.get_name());
    let _ = writeln!(out, "\n{} {name}\n", "#".repeat(level));
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    let _ = writeln!(out, "{}.", about.unwrap_or_default().trim_end_matches('.'));
    if command.has_subcommands() {
        if !command.is_subcommand_required_set() {
            synopsis(out, command);
        }
        for sub in command.get_subcommands() {
            section(out, sub, &name, level + 1);
        }
        return;
    }
    synopsis(out, command);
}

fn synopsis(out: &mut String, command: &Command) {
    out.push('\n');
    let usage = command.clone().render_usage().to_string();
    let usage: Vec<String> = usage.trim_start_matches("Usage: ").lines().map(words).collect();
    let _ = writeln!(out, "```\n{}\n```", usage.join("\n"));
    let mut own = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set()).peekable();
    if own.peek().is_some() {
        out.push('\n');
    }
    for arg in own {
        option(out, arg);
    }
    if let Some(after) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        let _ = writeln!(out, "\n{after}");
    }
}

fn option(out: &mut String, arg: &Arg) {
    if matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    ) {
        return;
    }
    let value =
        arg.get_value_names().map(|names| names.join(" ")).filter(|_| arg.get_action().takes_values());
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let shown = match (names.is_empty(), value) {
        (true, value) => format!("`{}`", value.unwrap_or_default()),
        (false, Some(value)) => format!("`{} {value}`", names.join("`, `")),
        (false, None) => format!("`{}`", names.join("`, `")),
    };
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(out, "- {shown}: {}", help.replace('\n', " "));
    let possible = arg.get_possible_values();
    if !possible.is_empty() && arg.get_action().takes_values() {
        let words: Vec<String> = possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let _ = write!(out, " ({})", words.join(", "));
    }
    let default: Vec<String> =
        arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if !default.is_empty() && arg.get_action().takes_values() {
        let _ = write!(out, "; default `{}`", default.join(" "));
    }
    if let Some(name) = arg.get_env() {
        let _ = write!(out, "; environment `{}`", name.to_string_lossy());
    }
    out.push('\n');
}

/// Returns `docs/reference/configuration.md`.
pub fn configuration() -> String {
    let schema = Config::schema().to_value();
    let mut out = String::from(
        "# Configuration\n\n<!-- generated from the code; `CHANTAL_BLESS=1 cargo test` writes it anew -->\n\n\
         YAML. The file is that of `--config`, else `$CHANTAL_CONFIG`, `./chantal.yaml`, `~/.config/chantal/chantal.yaml`, \
         `/etc/chantal/chantal.yaml`. Unknown keys, wrong types and keys that stand twice are refused with file, line and column. \
         `${NAME}` is replaced from the environment, and a missing variable is an error; `$${` stands for `${`; between braces or brackets a value with `${NAME}` is quoted. Paths are relative \
         to the directory of the file that they stand in. Secrets never stand in it: files or environment variables are named \
         that hold them. `chantal config schema` prints this as a JSON schema, `chantal config show` what is in force.\n",
    );
    block(&mut out, "The file", &schema, &schema);
    let mut names: Vec<&str> = Vec::new();
    collect(&schema, &schema, &mut names);
    for name in names {
        if let Some(definition) = schema.pointer(&format!("/$defs/{name}"))
            && definition.get("properties").is_some()
        {
            block(&mut out, &title(name), definition, &schema);
        }
    }
    out
}

/// Turns a type's name into the heading that links point at: `AptOptions` is `apt`.
fn title(name: &str) -> String {
    let name = name.strip_suffix("Options").unwrap_or(name);
    let mut out = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Lists the blocks in the order in which they are first mentioned.
fn collect<'a>(at: &'a Value, root: &'a Value, names: &mut Vec<&'a str>) {
    match at {
        Value::Object(map) => {
            if let Some(name) =
                map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"))
                && !names.contains(&name)
            {
                names.push(name);
                if let Some(definition) = root.pointer(&format!("/$defs/{name}")) {
                    collect(definition, root, names);
                }
            }
            for (key, value) in map {
                if key != "$defs" {
                    collect(value, root, names);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, root, names)),
        _ => {}
    }
}

fn block(out: &mut String, heading: &str, schema: &Value, root: &Value) {
    let _ = writeln!(out, "\n## {heading}\n");
    if let Some(text) = schema.get("description").and_then(Value::as_str).filter(|_| heading != "The file") {
        let _ = writeln!(out, "{}\n", words(text));
    }
    let _ = writeln!(out, "| key | value | meaning |\n|---|---|---|");
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (key, property) in properties {
        let meaning = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let mut meaning = words(meaning).replace('|', "\\|");
        let variants = described_variants(property, root);
        if !variants.is_empty() {
            meaning = format!("{meaning} {variants}");
        }
        if required.contains(&key.as_str()) {
            meaning.push_str(" **Required.**");
        }
        match property.get("default") {
            Some(Value::Null | Value::Object(_)) | None => {}
            Some(Value::Array(items)) if items.is_empty() => {}
            Some(value) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let _ = write!(meaning, " Default `{text}`.");
            }
        }
        let _ = writeln!(out, "| `{key}` | {} | {} |", type_of(property, root), meaning.trim());
    }
}

/// Joins lines and paragraphs.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn resolve<'a>(schema: &'a Value, root: &'a Value) -> (Option<&'a str>, &'a Value) {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"));
    let target = name.and_then(|name| root.pointer(&format!("/$defs/{name}")));
    target.map_or((None, schema), |target| (name, target))
}

/// Lists the words of an enumeration with their meanings.
fn described_variants(schema: &Value, root: &Value) -> String {
    let (_, target) = resolve(schema, root);
    let mut out = Vec::new();
    for variant in target.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let word = variant.get("const").and_then(Value::as_str);
        let text = variant.get("description").and_then(Value::as_str);
        if let (Some(word), Some(text)) = (word, text) {
            out.push(format!("`{word}`: {}", words(text)));
        }
    }
    for alternative in target.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        let text = described_variants(alternative, root);
        if !text.is_empty() {
            out.push(text);
        }
    }
    out.join(" ")
}

fn type_of(schema: &Value, root: &Value) -> String {
    let (name, target) = resolve(schema, root);
    if let (Some(name), true) = (name, target.get("properties").is_some()) {
        return format!("[{0}](#{0})", title(name));
    }
    if let Some(words) = target.get("enum").and_then(Value::as_array) {
        return words
            .iter()
            .filter_map(Value::as_str)
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(word) = target.get("const").and_then(Value::as_str) {
        return format!("`{word}`");
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(several) = target.get(key).and_then(Value::as_array) {
            let mut words: Vec<String> =
                several.iter().map(|one| type_of(one, root)).filter(|word| word != "nothing").collect();
            words.dedup();
            return words.join(", ");
        }
    }
    let named = |word: &str| match word {
        "array" => {
            let items = target.get("items").map_or_else(|| "anything".into(), |items| type_of(items, root));
            format!("list of {items}")
        }
        "object" => "block".into(),
        "boolean" => "`true`, `false`".into(),
        "integer" => "number".into(),
        "string" => "text".into(),
        "null" => "nothing".into(),
        other => other.to_owned(),
    };
    match target.get("type") {
        Some(Value::String(word)) => named(word),
        Some(Value::Array(words)) => {
            let words: Vec<String> =
                words.iter().filter_map(Value::as_str).filter(|word| *word != "null").map(named).collect();
            if words.len() > 1 { "text".into() } else { words.join(", ") }
        }
        _ => "anything".into(),
    }
}
