//! `millstream log verify`, `dump` and `repair`: a data folder's files, while no node has them open.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use millstream_storage::{DumpedTransaction, Repair, RepairReport, SegmentDamage, VerifyReport};
use millstream_types::time::rfc3339;

use crate::cli::{LogCommand, RepairArgs};

/// Checks, prints or repairs the files of a data folder.
///
/// # Errors
/// Damage, or files that cannot be read.
pub fn run(command: &LogCommand) -> anyhow::Result<()> {
    match command {
        LogCommand::Verify(args) => tell(&millstream_storage::verify(&args.data)?),
        LogCommand::Dump(args) => {
            let mut out = BufWriter::new(io::stdout().lock());
            let mut printed = Ok(());
            millstream_storage::dump(&args.data, |transaction| {
                if printed.is_ok() {
                    printed = print(&mut out, &transaction);
                }
            })?;
            printed?;
            Ok(out.flush()?)
        }
        LogCommand::Repair(args) => mend(args),
    }
}

/// Says what a look through the files found.
fn tell(report: &VerifyReport) -> anyhow::Result<()> {
    println!(
        "{}: {} records in {} logs, {} transactions of which {} are in the journal only",
        if report.damaged.is_empty() { "sound" } else { "readable" },
        report.records,
        report.logs,
        report.last_lsn,
        report.journal_transactions,
    );
    if report.torn_bytes > 0 {
        println!("{} bytes of an interrupted write at the end; the next start cuts them", report.torn_bytes);
    }
    if report.lost_records > 0 {
        println!("{} records were given up by an earlier repair", report.lost_records);
    }
    report.damaged.iter().for_each(tell_segment);
    let parts = report.damaged.len();
    anyhow::ensure!(
        parts == 0,
        "segments are damaged in {parts} places: readers skip what is lost; mend them by `millstream log repair`, or restore \
         the files from a backup"
    );
    Ok(())
}

fn tell_segment(damage: &SegmentDamage) {
    let SegmentDamage { file, position, bytes, log, first_offset, records, copied } = damage;
    let what = if *copied { "the journal still has them" } else { "lost" };
    println!(
        "damaged: {file} at byte {position}, {bytes} bytes: {records} records of log {} from offset {first_offset} on: {what}",
        log.0
    );
}

/// Says what a repair gives up and, when it is confirmed, does it.
fn mend(args: &RepairArgs) -> anyhow::Result<()> {
    let how = if args.truncate { Repair::Truncate } else { Repair::Skip };
    let report = millstream_storage::repair(&args.node.data, how, args.yes)?;
    if report == RepairReport::default() {
        println!("neither the journal nor a segment has damage that a repair could mend; nothing was changed");
        return Ok(());
    }
    for damage in &report.damages {
        let (first, last) = damage.transactions;
        println!("damaged: {} at byte {}, transactions {first} to {last}", damage.file, damage.position);
    }
    report.segments.iter().for_each(tell_segment);
    if !report.damages.is_empty() {
        println!("lost: {} transactions", report.lost_transactions);
    }
    for (log, first, count) in &report.lost_records {
        println!("lost: {count} records of log {} from offset {first} on", log.0);
    }
    if report.lost_writes > 0 {
        println!("lost: {} keys that transactions behind the damage set or deleted", report.lost_writes);
    }
    if report.unknown_writes > 0 {
        println!("lost: what {} damaged transactions set or deleted; that cannot be known", report.unknown_writes);
    }
    if let Some(lsn) = report.keys_ahead {
        println!("kept: the keys of transactions up to {lsn}, which the key-value store has already");
    }
    let done = if args.yes { ("written anew", "removed") } else { ("to be written anew", "to be removed") };
    report.rewritten.iter().for_each(|file| println!("{}: {file}", done.0));
    report.removed.iter().for_each(|file| println!("{}: {file}", done.1));
    let segments: BTreeSet<_> = report.segments.iter().map(|damage| &damage.file).collect();
    segments.iter().for_each(|file| println!("{}: {file}", done.0));
    match args.yes {
        true => println!("the old files are in the folder `damaged`"),
        false => println!("nothing was changed; add --yes to do it"),
    }
    Ok(())
}

/// A line for the transaction and one for each thing that it changes.
fn print(out: &mut impl Write, transaction: &DumpedTransaction) -> io::Result<()> {
    writeln!(out, "transaction {} at {}", transaction.lsn, rfc3339(transaction.append_time))?;
    for (log, offset, records, bytes) in &transaction.appends {
        writeln!(out, "  append log {} offset {offset}: {records} records, {bytes} bytes", log.0)?;
    }
    for (keyspace, key, value) in &transaction.writes {
        let key = String::from_utf8_lossy(key);
        match value {
            Some(bytes) => writeln!(out, "  put {keyspace} {key:?}: {bytes} bytes")?,
            None => writeln!(out, "  delete {keyspace} {key:?}")?,
        }
    }
    for (log, first) in &transaction.trims {
        writeln!(out, "  trim log {} to {first}", log.0)?;
    }
    for log in &transaction.dropped_logs {
        writeln!(out, "  drop log {}", log.0)?;
    }
    for keyspace in &transaction.dropped_keyspaces {
        writeln!(out, "  drop keyspace {keyspace}")?;
    }
    Ok(())
}
