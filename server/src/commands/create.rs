//! `millstream create KIND NAME KEY=VALUE…`

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use millstream_catalog::pipeline::form::{Entry, Form};

use super::remote::say;
use crate::apply::{Request, package};
use crate::cli::CreateArgs;
use crate::remote::Remote;

/// Makes one resource on a running node.
///
/// # Errors
/// Mistakes in the fields, or the node's refusal.
pub async fn run(args: &CreateArgs) -> anyhow::Result<()> {
    let Some(kind) = &args.kind else {
        Form::all().for_each(|form| say(&format!("{:<18}{}", form.kind, form.about)));
        return Ok(());
    };
    let form = Form::of(kind).with_context(|| {
        let kinds: Vec<&str> = Form::all().map(|form| form.kind).collect();
        format!("there is no kind `{kind}`\n  try: {}", kinds.join(", "))
    })?;
    let Some(name) = &args.name else {
        explain(form);
        return Ok(());
    };
    let given = fields(form, name, &args.fields)?;
    let section = form.section(&given).map_err(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(|wrong| format!("{}: {}", wrong.field, wrong.message)).collect();
        anyhow::anyhow!("{}\n  try: `millstream create {kind}` shows its fields", told.join("\n"))
    })?;
    if args.print {
        say(section.text.trim_end());
        return Ok(());
    }
    let mut packages = BTreeMap::new();
    if let Some(code) = given.get("code").filter(|_| form.has_code()) {
        let zip = package::package(Path::new(code)).with_context(|| format!("cannot read the code at {code}"))?;
        packages.insert(code.clone(), STANDARD.encode(zip));
    }
    let request = Request {
        file: kind.clone(),
        text: section.text,
        sql_files: BTreeMap::new(),
        packages,
        documents: BTreeMap::new(),
    };
    let body = Bytes::from(serde_json::to_vec(&request)?);
    let answer = Remote::new(&args.node.data).ask_whole(Method::POST, "/admin/create", body).await?;
    say(String::from_utf8_lossy(&answer).trim_end());
    Ok(())
}

/// The fields by their names in the form: `output.function` is the first output's.
fn fields(form: &Form, name: &str, pairs: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut given = BTreeMap::from([(form.subject().to_owned(), name.to_owned())]);
    for pair in pairs {
        let (key, value) = self::pair(pair)?;
        let first = key.split_once('.').filter(|(part, rest)| {
            let counted = rest.split('.').next().is_some_and(|word| word.parse::<usize>().is_ok());
            !counted && form.parts.iter().any(|known| known.repeats && known.name == *part)
        });
        let key = first.map_or_else(|| key.to_owned(), |(part, rest)| format!("{part}.1.{rest}"));
        if given.insert(key.clone(), value).is_some() {
            bail!("`{key}` is given twice; a second one of its kind is counted: `input.2.name=…`");
        }
    }
    Ok(given)
}

/// A field and its value; one that begins with @ is a file's content.
pub(super) fn pair(pair: &str) -> anyhow::Result<(&str, String)> {
    let (key, value) = pair.split_once('=').with_context(|| format!("expected KEY=VALUE, found `{pair}`"))?;
    let value = match value.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?,
        None => value.to_owned(),
    };
    Ok((key, value))
}

/// What may be said of a kind.
fn explain(form: &Form) {
    say(&format!("millstream create {} {} KEY=VALUE…", form.kind, form.subject().to_uppercase()));
    say(form.about);
    for part in form.parts {
        if !part.title.is_empty() {
            say(&format!("{}{}", part.title, if part.repeats { ", as often as needed" } else { "" }));
        }
        for field in part.fields.iter().filter(|field| !(part.name.is_empty() && field.key == form.subject())) {
            let words = match field.entry {
                Entry::Choice(words) => {
                    words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" | ")
                }
                Entry::Code => "the folder or zip file".to_owned(),
                _ => field.hint.to_owned(),
            };
            let name = if part.name.is_empty() { field.key.to_owned() } else { format!("{}.{}", part.name, field.key) };
            let must = if field.required { " (required)" } else { "" };
            let detail =
                [field.label, words.as_str()].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>();
            say(&format!("  {name:<34}{}{must}", detail.join(": ")));
        }
    }
}
