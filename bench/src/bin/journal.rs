//! Appends through the engine's whole way, beside what the disk itself can do and beside a bare group commit (one buffer, one
//! thread that writes and syncs it, nothing that reads), in one run.
//!
//! `journal --dir D [--seconds 2]`

use std::error::Error;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millstream_bench::disk::{BLOCK_BYTES, GrowingFile};
use millstream_bench::figures::{Usage, histogram, micros, print};
use millstream_storage::{Storage, StorageError, StorageOptions, Transaction};
use millstream_types::{EncodedRecords, LogId, SystemClock};

/// Appenders and records of each call.
const CASES: [(u64, usize); 6] = [(1, 1), (16, 1), (256, 1), (1, 500), (16, 500), (64, 500)];
const RECORD_BYTES: usize = 200;
const DISK_WRITES: usize = 2000;
const SEQUENTIAL_BYTES: usize = 512 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |name: &str| std::env::args().skip_while(|argument| argument != name).nth(1);
    let folder = PathBuf::from(argument("--dir").ok_or("usage: journal --dir D [--seconds 2]")?);
    let seconds = argument("--seconds").map_or(Ok(2), |text| text.parse())?;
    std::fs::create_dir_all(&folder)?;
    measure_disk(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (appenders, records) in CASES {
        let bare = Bare::measure(&folder.join("bare"), appenders, records, Duration::from_secs(seconds))?;
        println!("a bare group commit, {appenders} x {records}: {bare:.0} /s");
        let data = folder.join(format!("data-{appenders}-{records}"));
        let whole = StorageOptions::new(&data);
        // What the clients wait for, as long as memory holds what is to be brought to the segments.
        let commits = StorageOptions {
            checkpoint_bytes: u64::MAX,
            checkpoint_interval: Duration::from_secs(3_600),
            ..whole.clone()
        };
        for (name, options) in [("journal and segments", whole), ("journal alone", commits)] {
            let (storage, _) = Storage::open(options, Arc::new(SystemClock))?;
            let before = Usage::of(std::process::id());
            let done = runtime.block_on(append(&storage, appenders, records, Duration::from_secs(seconds)))?;
            let after = Usage::of(std::process::id());
            storage.close()?;
            drop(storage);
            std::fs::remove_dir_all(&data)?;
            let count = done.latencies.len() * records as u64;
            let name = format!("{name}, {appenders} x {records}");
            print(&name, count, count * RECORD_BYTES as u64, done.took, &done.latencies, Some((before, after)));
            let share = 100.0 * count as f64 / done.took.as_secs_f64() / bare;
            println!("    {share:.0} % of the bare group commit; refused {}", done.refused);
        }
    }
    Ok(())
}

/// What came of one case.
struct Done {
    latencies: Histogram<u64>,
    took: Duration,
    /// Calls that were told to wait.
    refused: u64,
}

async fn append(storage: &Storage, appenders: u64, records: usize, time: Duration) -> Result<Done, Box<dyn Error>> {
    let started = Instant::now();
    let tasks: Vec<_> = (0..appenders)
        .map(|log| tokio::spawn(append_to(storage.clone(), LogId(log), records, started, time)))
        .collect();
    let (mut latencies, mut refused) = (histogram(), 0);
    for task in tasks {
        let (own, own_refused) = task.await??;
        latencies.add(own)?;
        refused += own_refused;
    }
    Ok(Done { latencies, took: started.elapsed(), refused })
}

async fn append_to(
    storage: Storage,
    log: LogId,
    records: usize,
    started: Instant,
    time: Duration,
) -> Result<(Histogram<u64>, u64), StorageError> {
    let mut template = EncodedRecords::default();
    (0..records).for_each(|number| template.push(&number.to_be_bytes(), b"", &[b'x'; RECORD_BYTES - 8]));
    let (mut latencies, mut refused) = (histogram(), 0);
    while started.elapsed() < time {
        let call = Instant::now();
        let mut transaction = Transaction::new();
        transaction.append(log, template.clone());
        match storage.submit(transaction) {
            Ok(ticket) => {
                ticket.durable().await?;
                latencies.saturating_record(micros(call.elapsed()));
            }
            Err(StorageError::Overloaded { .. }) => {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((latencies, refused))
}

/// A group commit without anything around it: appenders copy their frames into one buffer, a thread writes and syncs it and
/// wakes them. The file grows.
#[derive(Default)]
struct Bare {
    state: Mutex<BareState>,
    work: Condvar,
    durable: Condvar,
}

#[derive(Default)]
struct BareState {
    buffer: Vec<u8>,
    /// Groups begun, and groups that are durable.
    begun: u64,
    done: u64,
    ended: bool,
}

impl Bare {
    /// Records a second.
    fn measure(path: &Path, appenders: u64, records: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        let bare = Bare::default();
        let started = Instant::now();
        let calls = std::thread::scope(|scope| {
            let committer = scope.spawn(|| bare.commit(&file));
            let append = || {
                let payload = vec![b'x'; records * (RECORD_BYTES + 24)];
                let mut calls = 0_u64;
                while started.elapsed() < time {
                    bare.append(&payload);
                    calls += 1;
                }
                calls
            };
            let appenders: Vec<_> = (0..appenders).map(|_| scope.spawn(append)).collect();
            let calls = appenders.into_iter().map(|appender| appender.join().unwrap_or(0)).sum::<u64>();
            bare.lock().ended = true;
            bare.work.notify_all();
            match committer.join() {
                Ok(result) => result.map(|()| calls),
                Err(_) => Err(std::io::Error::other("the committer panicked")),
            }
        })?;
        let rate = (calls * records as u64) as f64 / started.elapsed().as_secs_f64();
        std::fs::remove_file(path)?;
        Ok(rate)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BareState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, payload: &[u8]) {
        let checksum = crc_fast::crc32_iscsi(payload);
        let mut state = self.lock();
        state.buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        state.buffer.extend_from_slice(&checksum.to_le_bytes());
        state.buffer.extend_from_slice(payload);
        let group = state.begun + 1;
        self.work.notify_one();
        while state.done < group {
            state = self.durable.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn commit(&self, file: &std::fs::File) -> std::io::Result<()> {
        let (mut position, mut frames) = (0, Vec::new());
        loop {
            let mut state = self.lock();
            while state.buffer.is_empty() && !state.ended {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.buffer.is_empty() {
                return Ok(());
            }
            std::mem::swap(&mut frames, &mut state.buffer);
            state.begun += 1;
            let group = state.begun;
            drop(state);
            file.write_all_at(&frames, position)?;
            file.sync_data()?;
            position += frames.len() as u64;
            frames.clear();
            self.lock().done = group;
            self.durable.notify_all();
        }
    }
}

fn measure_disk(folder: &Path) -> Result<(), Box<dyn Error>> {
    let path = folder.join("raw");
    let mut growing = GrowingFile::create(&path)?;
    let (mut latencies, started) = (histogram(), Instant::now());
    for _ in 0..DISK_WRITES {
        latencies.saturating_record(micros(growing.write()?));
    }
    let count = DISK_WRITES as u64;
    let bytes = count * BLOCK_BYTES as u64;
    print("disk: 4 KiB + fdatasync, growing file", count, bytes, started.elapsed(), &latencies, None);
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let block = vec![7; 1 << 20];
    let started = Instant::now();
    for position in (0..SEQUENTIAL_BYTES).step_by(block.len()) {
        file.write_all_at(&block, position as u64)?;
    }
    file.sync_data()?;
    let rate = SEQUENTIAL_BYTES as f64 / started.elapsed().as_secs_f64() / 1e6;
    println!("disk: sequential write, one fdatasync at the end: {rate:.0} MB/s");
    Ok(std::fs::remove_file(&path)?)
}
