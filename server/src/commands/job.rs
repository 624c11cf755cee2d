//! `millstream job`: starts, stops and changes a query of a running node.
//!
//! A change takes what the query's form holds, changes it and sends the section that comes of it, as the console does.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::Method;
use millstream_catalog::pipeline::form::{Form, REPEATS_MAX};
use millstream_console::{JobAsk, JobStart};

use super::create::pair;
use super::remote::{escape, say};
use crate::apply::job::Job;
use crate::cli::{JobArgs, JobCommand, JobPartArgs, JobPartName, JobStartArgs};
use crate::remote::Remote;

/// Fields of a query by their names in its form.
type Values = BTreeMap<String, String>;

/// Runs a command.
///
/// # Errors
/// Mistakes in the fields, or the node's refusal.
pub async fn run(command: JobCommand) -> anyhow::Result<()> {
    match command {
        JobCommand::Start(args) => ask(&args.job, &JobAsk::Start(start(&args)?)).await,
        JobCommand::Stop(args) => ask(&args, &JobAsk::Stop).await,
        JobCommand::Show(args) => {
            say(section(&job(&args).await?.fields)?.trim_end());
            Ok(())
        }
        JobCommand::Set { job, fields } => change(&job, |values| set(values, &fields)).await,
        JobCommand::AddInput(args) => change(&args.part.job, |values| add(values, "input", &args)).await,
        JobCommand::RemoveInput(args) => change(&args.job, |values| remove(values, "input", &args)).await,
        JobCommand::AddFunction(args) => change(&args.part.job, |values| add(values, "function", &args)).await,
        JobCommand::RemoveFunction(args) => change(&args.job, |values| remove(values, "function", &args)).await,
        JobCommand::AddOutput(args) => change(&args.part.job, |values| add(values, "output", &args)).await,
        JobCommand::RemoveOutput(args) => change(&args.job, |values| remove(values, "output", &args)).await,
    }
}

fn start(args: &JobStartArgs) -> anyhow::Result<JobStart> {
    let Some(at) = &args.at else {
        return Ok(if args.last_output { JobStart::LastOutput } else { JobStart::Now });
    };
    let time: jiff::Timestamp =
        at.parse().with_context(|| format!("expected a time such as 2026-01-31T12:00:00Z, found `{at}`"))?;
    Ok(JobStart::At(time.as_millisecond()))
}

async fn job(args: &JobArgs) -> anyhow::Result<Job> {
    let path = format!("/admin/jobs/{}", escape(&args.name));
    let answer = Remote::new(&args.node.data).ask_whole(Method::GET, &path, Bytes::new()).await?;
    serde_json::from_slice(&answer).context("the node's answer is no JSON")
}

async fn ask(args: &JobArgs, ask: &JobAsk) -> anyhow::Result<()> {
    let path = format!("/admin/jobs/{}", escape(&args.name));
    let body = Bytes::from(serde_json::to_vec(ask)?);
    let answer = Remote::new(&args.node.data).ask_whole(Method::POST, &path, body).await?;
    say(String::from_utf8_lossy(&answer).trim_end());
    Ok(())
}

async fn change(args: &JobArgs, edit: impl FnOnce(&mut Values) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let Job { mut fields, version } = job(args).await?;
    edit(&mut fields)?;
    ask(args, &JobAsk::Change { section: section(&fields)?, version }).await
}

fn section(values: &Values) -> anyhow::Result<String> {
    let form = Form::of("query").context("there is no form of queries")?;
    let section = form.section(values).map_err(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(|wrong| format!("{}: {}", wrong.field, wrong.message)).collect();
        anyhow::anyhow!("{}\n  try: `millstream create query` shows the fields", told.join("\n"))
    })?;
    Ok(section.text)
}

/// Changes fields of the query itself; an empty value takes one away.
fn set(values: &mut Values, fields: &[String]) -> anyhow::Result<()> {
    for field in fields {
        let (key, value) = pair(field)?;
        if matches!(key, "name" | "dialect" | "start_at" | "stopped") {
            bail!("`{key}` stays as it is; `millstream job start` and `stop` say whether it runs and where it begins");
        }
        values.insert(key.to_owned(), value);
    }
    Ok(())
}

fn add(values: &mut Values, kind: &str, args: &JobPartArgs) -> anyhow::Result<()> {
    let name = &args.part.part;
    let free = || (1..=REPEATS_MAX).find(|index| !values.contains_key(&format!("{kind}.{index}.name")));
    let Some(index) = place(values, kind, name).or_else(free) else {
        bail!("a query has at most {REPEATS_MAX} of these here; describe it in a pipeline file");
    };
    clear(values, kind, index);
    values.insert(format!("{kind}.{index}.name"), name.clone());
    for field in &args.fields {
        let (key, value) = pair(field)?;
        values.insert(format!("{kind}.{index}.{key}"), value);
    }
    Ok(())
}

fn remove(values: &mut Values, kind: &str, args: &JobPartName) -> anyhow::Result<()> {
    let Some(index) = place(values, kind, &args.part) else {
        bail!("query `{}` has no {kind} `{}`", args.job.name, args.part);
    };
    clear(values, kind, index);
    Ok(())
}

/// Which one a name is; names are found in any case of letters, as the SQL finds them.
fn place(values: &Values, kind: &str, name: &str) -> Option<usize> {
    let is = |index: &usize| {
        let known = values.get(&format!("{kind}.{index}.name"));
        known.is_some_and(|known| known.eq_ignore_ascii_case(name))
    };
    (1..=REPEATS_MAX).find(is)
}

fn clear(values: &mut Values, kind: &str, index: usize) {
    let part = format!("{kind}.{index}.");
    values.retain(|key, _| !key.starts_with(&part));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;

    use super::*;
    use crate::cli::NodeArgs;

    fn part(name: &str, fields: &[&str]) -> JobPartArgs {
        let job = JobArgs { name: "q".into(), node: NodeArgs { data: PathBuf::new() } };
        let part = JobPartName { job, part: name.into() };
        JobPartArgs { part, fields: fields.iter().map(|field| (*field).to_owned()).collect() }
    }

    #[test]
    fn parts_are_found_by_their_names() {
        let mut values = Values::new();
        add(&mut values, "output", &part("one", &["stream=a", "csv=;"])).unwrap();
        add(&mut values, "output", &part("two", &["stream=b"])).unwrap();
        add(&mut values, "output", &part("ONE", &["stream=c"])).unwrap();
        let told: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(told, ["output.1.name=ONE", "output.1.stream=c", "output.2.name=two", "output.2.stream=b"]);
        remove(&mut values, "output", &part("one", &[]).part).unwrap();
        assert!(remove(&mut values, "output", &part("one", &[]).part).is_err());
        add(&mut values, "output", &part("three", &["stream=d"])).unwrap();
        assert_eq!(values["output.1.name"], "three");
        assert!(set(&mut values, &["name=x".to_owned()]).is_err());
    }
}
