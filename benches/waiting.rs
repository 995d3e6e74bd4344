//! Sixteen tasks wait for two buffers, on a tokio runtime of two threads: fourteen acquire, hold across one yield and
//! release, over and over; one begins to wait and leaves; one never waits but takes what it can get in a tight loop
//! (*barging*). Beside our pools stand what one would build without them: tokio's `Semaphore` over a queue of
//! buffers, which is first come first served as well, and a stack with notification and retry (event-listener).
//!
//! `cargo bench --bench waiting`; with `-- --test` for a moment only.

#[path = "common/page.rs"]
mod page;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use event_listener::{Event, IntoNotification};
use parking_lot::Mutex;
use poolbuf::{BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;

const SIZE: usize = 8192;
const BUFFERS: usize = 2;
const PATIENT: usize = 14;
const ROUNDS: usize = 7;

/// A pool whose requests can wait.
trait Candidate: Send + Sync + 'static {
    type Buf: Send;

    fn acquire(&self) -> impl Future<Output = Self::Buf> + Send;

    fn try_acquire(&self) -> Option<Self::Buf>;
}

struct Ours<P>(P);

impl<P: Pool + 'static> Candidate for Ours<P> {
    type Buf = PooledBuf;

    async fn acquire(&self) -> PooledBuf {
        let buf = self.0.acquire_async(SIZE).await;
        buf.expect("the pool is open")
    }

    fn try_acquire(&self) -> Option<PooledBuf> {
        self.0.acquire_for(SIZE).ok()
    }
}

type Stack = Arc<Mutex<Vec<Box<[u8]>>>>;

fn stack() -> Stack {
    Arc::new(Mutex::new(vec![vec![0; SIZE].into(); BUFFERS]))
}

/// A permit for each buffer in the stack.
struct Permits {
    permits: Arc<Semaphore>,
    stack: Stack,
}

struct Permitted {
    buf: Option<Box<[u8]>>,
    stack: Stack,
    /// Given up after the buffer was put back.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Permitted {
    fn drop(&mut self) {
        self.stack.lock().extend(self.buf.take());
    }
}

impl Permits {
    fn take(&self, permit: OwnedSemaphorePermit) -> Permitted {
        Permitted {
            buf: self.stack.lock().pop(),
            stack: Arc::clone(&self.stack),
            _permit: permit,
        }
    }
}

impl Candidate for Permits {
    type Buf = Permitted;

    async fn acquire(&self) -> Permitted {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        self.take(permit.expect("the semaphore is open"))
    }

    fn try_acquire(&self) -> Option<Permitted> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(self.take(permit))
    }
}

/// Whoever releases notifies one who waits, who then looks again.
struct Retry(Arc<Notified>);

struct Notified {
    stack: Stack,
    event: Event,
}

struct Notifying {
    buf: Option<Box<[u8]>>,
    home: Arc<Notified>,
}

impl Drop for Notifying {
    fn drop(&mut self) {
        self.home.stack.lock().extend(self.buf.take());
        self.home.event.notify(1.additional());
    }
}

impl Candidate for Retry {
    type Buf = Notifying;

    async fn acquire(&self) -> Notifying {
        loop {
            if let Some(buf) = self.try_acquire() {
                return buf;
            }
            let listener = self.0.event.listen();
            if let Some(buf) = self.try_acquire() {
                return buf;
            }
            listener.await;
        }
    }

    fn try_acquire(&self) -> Option<Notifying> {
        let buf = self.0.stack.lock().pop()?;
        Some(Notifying {
            buf: Some(buf),
            home: Arc::clone(&self.0),
        })
    }
}

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    acquired: AtomicU64,
    barged: AtomicU64,
    longest: AtomicU64,
    /// Of the patient task that got fewest.
    fewest: AtomicU64,
}

/// What one candidate did in one round.
#[derive(Clone, Copy, Default)]
struct Figures {
    per_second: f64,
    /// Nanoseconds.
    longest: f64,
    barged: f64,
    /// What the patient task that got fewest got, as a share of the average.
    fewest: f64,
}

async fn patient<C: Candidate>(pool: Arc<C>, counts: Arc<Counts>) {
    let (mut acquired, mut longest) = (0, 0);
    while !counts.stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let buf = pool.acquire().await;
        longest = longest.max(start.elapsed().as_nanos() as u64);
        yield_now().await;
        drop(buf);
        acquired += 1;
    }
    counts.acquired.fetch_add(acquired, Ordering::Relaxed);
    counts.longest.fetch_max(longest, Ordering::Relaxed);
    counts.fewest.fetch_min(acquired, Ordering::Relaxed);
}

async fn fickle<C: Candidate>(pool: Arc<C>, counts: Arc<Counts>) {
    while !counts.stop.load(Ordering::Relaxed) {
        tokio::select! {
            biased;
            buf = pool.acquire() => drop(buf),
            () = yield_now() => {}
        }
        yield_now().await;
    }
}

async fn barging<C: Candidate>(pool: Arc<C>, counts: Arc<Counts>) {
    while !counts.stop.load(Ordering::Relaxed) {
        if let Some(buf) = pool.try_acquire() {
            counts.barged.fetch_add(1, Ordering::Relaxed);
            drop(buf);
        }
        yield_now().await;
    }
}

fn round<C: Candidate>(candidate: C, duration: Duration) -> Figures {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("threads can be started");
    let pool = Arc::new(candidate);
    let counts = Arc::new(Counts {
        fewest: AtomicU64::new(u64::MAX),
        ..Counts::default()
    });
    let start = Instant::now();
    runtime.block_on(async {
        let both = || (Arc::clone(&pool), Arc::clone(&counts));
        let mut tasks = Vec::new();
        for _ in 0..PATIENT {
            let (pool, counts) = both();
            tasks.push(tokio::spawn(patient(pool, counts)));
        }
        let (pool, others) = both();
        tasks.push(tokio::spawn(fickle(pool, others)));
        let (pool, others) = both();
        tasks.push(tokio::spawn(barging(pool, others)));
        tokio::time::sleep(duration).await;
        counts.stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("no task panics");
        }
    });
    let acquired = counts.acquired.load(Ordering::Relaxed) as f64;
    let seconds = start.elapsed().as_secs_f64();
    Figures {
        per_second: acquired / seconds,
        longest: counts.longest.load(Ordering::Relaxed) as f64,
        barged: counts.barged.load(Ordering::Relaxed) as f64 / seconds,
        fewest: counts.fewest.load(Ordering::Relaxed) as f64 * PATIENT as f64 / acquired.max(1.0),
    }
}

type Round = fn(Duration) -> Figures;

const MADE: &str = "the pool's memory can be reserved";

const CANDIDATES: [(&str, Round); 5] = [
    ("**`BufferPool`**", |duration| {
        let pool = BufferPool::new(SIZE, BUFFERS, BUFFERS).expect(MADE);
        round(Ours(pool), duration)
    }),
    ("**`LockFreePool`**", |duration| {
        round(Ours(LockFreePool::<BUFFERS>::new(SIZE).expect(MADE)), duration)
    }),
    ("**`MultiSizePool`**", |duration| {
        let tier = PoolConfig::new(SIZE).initial(BUFFERS).max(BUFFERS);
        let tiers = MultiSizeConfig::new().tier(tier);
        round(Ours(MultiSizePool::with_config(tiers).expect(MADE)), duration)
    }),
    ("tokio `Semaphore` + stack", |duration| {
        let pool = Permits {
            permits: Arc::new(Semaphore::new(BUFFERS)),
            stack: stack(),
        };
        round(pool, duration)
    }),
    ("event-listener + retry", |duration| {
        let notified = Notified {
            stack: stack(),
            event: Event::new(),
        };
        round(Retry(Arc::new(notified)), duration)
    }),
];

fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<_> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let test = env::args().any(|argument| argument == "--test");
    let (rounds, duration) = match test {
        true => (1, Duration::from_millis(20)),
        false => (ROUNDS, Duration::from_secs(1)),
    };
    let mut figures = vec![Vec::new(); CANDIDATES.len()];
    for _ in 0..rounds {
        for (figures, (_, round)) in figures.iter_mut().zip(CANDIDATES) {
            figures.push(round(duration));
        }
    }
    let base = median(&figures[0], |figures| figures.per_second);
    let mut section = String::from(
        "| | acquires/s | × | longest wait | fewest, of the average | barged/s |\n|---|--:|--:|--:|--:|--:|\n",
    );
    for ((label, _), figures) in CANDIDATES.iter().zip(&figures) {
        let per_second = median(figures, |figures| figures.per_second);
        section.push_str(&format!(
            "| {label} | {:.2} M | {:.2}× | {:.1} ms | {:.0} % | {:.0} |\n",
            per_second / 1e6,
            per_second / base,
            median(figures, |figures| figures.longest) / 1e6,
            median(figures, |figures| figures.fewest) * 100.0,
            median(figures, |figures| figures.barged),
        ));
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (os, arch) = (env::consts::OS, env::consts::ARCH);
    section.push_str(&format!(
        "\n`cargo bench --bench waiting`, {os}, {arch}, {cores} cores; medians of {rounds} rounds of {duration:?} \
         each, in turn; the longest wait is the longest of a round.\n"
    ));
    println!("{section}");
    if !test {
        if let Err(error) = page::write("docs/BENCHMARKS.md", "waiting", &section) {
            eprintln!("docs/BENCHMARKS.md was not written: {error}");
        }
    }
}
