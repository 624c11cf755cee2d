//! `millstream log verify` and `millstream log dump`: a data folder's files, read while no node has them open.

use std::io::{self, BufWriter, Write};

use millstream_storage::DumpedTransaction;
use millstream_types::time::rfc3339;

use crate::cli::LogCommand;

/// Checks or prints the files of a data folder.
///
/// # Errors
/// Damage, or files that cannot be read.
pub fn run(command: &LogCommand) -> anyhow::Result<()> {
    match command {
        LogCommand::Verify(args) => {
            let report = millstream_storage::verify(&args.data)?;
            println!(
                "sound: {} records in {} logs, {} transactions of which {} are in the journal only",
                report.records, report.logs, report.last_lsn, report.journal_transactions,
            );
            if report.torn_bytes > 0 {
                println!("{} bytes of an interrupted write at the end; the next start cuts them", report.torn_bytes);
            }
            Ok(())
        }
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
    }
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
