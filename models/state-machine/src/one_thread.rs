//! Does arbitrary operations on the pools and on the model of them, and compares the two after each.

use std::future::{self, Future};
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use poolbuf::{AcquireError, Budget, PooledBuf, Wipe};

use crate::QUIET;
use crate::any_pool::AnyPool;
use crate::bell::Bell;
use crate::held::{Held, Stamps, Unwritten};
use crate::model::{Model, plain};
use crate::operation::{Contended, Length, Operation, choose};
use crate::own_memory::OwnMemory;
use crate::request::Request;
use crate::setup::Setup;

/// Most operations of a run.
const OPERATIONS: usize = 400;
/// Most requests, frozen buffers and handles at a time, and buffers of the user's own memory.
const AT_A_TIME: usize = 24;
/// Bytes of the budget that shares are charged to.
const SHARE: usize = 400;

/// Runs what `data` says. Panics if a pool is not as the model.
pub fn run(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut unstructured) else {
        return;
    };
    play::<Operation>(&setup, &mut unstructured);
}

/// As `run`, with pools whose few buffers, and whose budgets, are soon used up, and with those operations alone that
/// make requests wait and end their waits.
pub fn run_contended(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    if let Ok(setup) = Setup::arbitrary(&mut unstructured) {
        play::<Contended>(&setup.contended(), &mut unstructured);
    }
}

fn play<'a, O: Arbitrary<'a> + Into<Operation>>(setup: &Setup, data: &mut Unstructured<'a>) {
    let mut operations: Vec<Operation> = Vec::new();
    while !data.is_empty() && operations.len() < OPERATIONS {
        match O::arbitrary(data) {
            Ok(operation) => operations.push(operation.into()),
            Err(_) => break,
        }
    }
    let _told = OnPanic(setup, &operations);
    Run::new(setup).play(setup, &operations);
}

/// Prints what was done, if that made something panic.
struct OnPanic<'a>(&'a Setup, &'a [Operation]);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !QUIET.load(Ordering::Relaxed) {
            eprintln!("{}", self.0);
            for (number, operation) in self.1.iter().enumerate() {
                eprintln!("{number}: {operation:?}");
            }
        }
    }
}

/// What the future says when it is first polled.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("its time is up"),
    }
}

/// All that a user has, beside the pools and the requests that borrow them.
struct Run {
    model: Model,
    budgets: Vec<Budget>,
    own_memory: OwnMemory,
    /// More handles, with the number of their pool.
    handles: Vec<(usize, Box<dyn AnyPool>)>,
    held: Vec<(Lender, Held)>,
    frozen: Vec<Frozen>,
    /// As if by `std::mem::forget`; but they are remembered until all is over, since each would keep its pool's
    /// memory for as long as the process lives.
    forgotten: Vec<(Lender, ManuallyDrop<PooledBuf>)>,
    /// Buffers that were split: where each goes back to, and how many parts of it are left.
    split: Vec<(Lender, usize)>,
    /// What the shares are charged to, and what that should have lent.
    share: Budget,
    share_lent: usize,
    stamps: Stamps,
}

/// Where a guard goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lender {
    Tier(usize),
    /// It was lent through a share.
    Share(usize),
    /// What shares the buffer of that number, of those that were split.
    Split(usize),
    OwnMemory {
        capacity: usize,
        dirty: usize,
    },
}

impl Lender {
    /// Of a guard of whose bytes so many count as dirty.
    fn with_dirty(self, dirty: usize) -> Self {
        match self {
            Lender::Tier(_) | Lender::Share(_) | Lender::Split(_) => self,
            Lender::OwnMemory { capacity, .. } => Lender::OwnMemory { capacity, dirty },
        }
    }
}

/// All that is left of a guard: so many `Bytes`, each with what should be in it.
struct Frozen {
    lender: Lender,
    parts: Vec<(Bytes, Vec<u8>)>,
}

/// A request that waits.
struct Waiting<'p> {
    future: Request<'p>,
    pool: usize,
    number: usize,
    /// Buffers that it asks for.
    count: usize,
    bell: Bell,
}

impl Run {
    fn new(setup: &Setup) -> Self {
        let budgets = setup.budgets();
        Run {
            model: Model::new(setup, &budgets),
            budgets,
            own_memory: OwnMemory::new(),
            handles: Vec::new(),
            held: Vec::new(),
            frozen: Vec::new(),
            forgotten: Vec::new(),
            split: Vec::new(),
            share: Budget::new(SHARE),
            share_lent: 0,
            stamps: Stamps::new(),
        }
    }

    fn play(mut self, setup: &Setup, operations: &[Operation]) {
        let pools = setup.build(&self.budgets);
        let mut pools: Vec<_> = pools.into_iter().map(Some).collect();
        let mut rest = operations;
        while let Some(pool) = self.until_a_handle_goes(&pools, &mut rest) {
            self.drop_handle(&mut pools, pool);
        }
        if setup.handles_go_first {
            self.handles.clear();
            for (number, pool) in pools.iter_mut().enumerate() {
                *pool = None;
                self.model.close(number);
            }
        }
        while !self.held.is_empty() {
            self.release(0);
            self.check(&pools, &[]);
        }
        while !self.frozen.is_empty() {
            self.drop_frozen(0);
            self.check(&pools, &[]);
        }
        for (lender, buf) in std::mem::take(&mut self.forgotten) {
            drop(ManuallyDrop::into_inner(buf));
            self.released(lender);
            self.check(&pools, &[]);
        }
        self.assert_whole(&pools);
    }

    /// Drops a handle of a pool that has no other. What it lent stays valid.
    fn drop_handle(&mut self, pools: &mut [Option<Box<dyn AnyPool>>], pool: usize) {
        if pools[pool].take().is_some() {
            self.model.close(pool);
        }
        self.check(pools, &[]);
    }

    /// Does the operations up to one that drops the last handle of a pool, whose number it returns: requests borrow
    /// the handles, so all of them are dropped before.
    fn until_a_handle_goes(
        &mut self,
        pools: &[Option<Box<dyn AnyPool>>],
        operations: &mut &[Operation],
    ) -> Option<usize> {
        let mut waiting: Vec<Waiting<'_>> = Vec::new();
        let mut gone = None;
        while let (None, Some((&operation, rest))) = (gone, operations.split_first()) {
            *operations = rest;
            gone = self.apply(operation, pools, &mut waiting);
            self.check(pools, &waiting);
        }
        while !waiting.is_empty() {
            self.cancel(waiting.swap_remove(0));
            self.check(pools, &waiting);
        }
        gone
    }

    fn apply<'p>(
        &mut self,
        operation: Operation,
        pools: &'p [Option<Box<dyn AnyPool>>],
        waiting: &mut Vec<Waiting<'p>>,
    ) -> Option<usize> {
        let find = |which| {
            let pool = usize::from(which) % pools.len();
            pools[pool].as_deref().map(|handle| (pool, handle))
        };
        match operation {
            Operation::Acquire { pool, len } => {
                let (pool, handle) = find(pool)?;
                let len = len.of(self.model.max_len(pool));
                let expected = self.model.acquire(pool, 1, len);
                // By any of the handles.
                let other = self.handles.iter().find(|(of, _)| *of == pool);
                let handle = other.map_or(handle, |(_, handle)| handle.as_ref());
                let result = handle.acquire_for(len);
                self.lent_one(pool, result, expected);
            }
            Operation::AcquireLargest { pool } => {
                let (pool, handle) = find(pool)?;
                assert_eq!(handle.max_len(), self.model.max_len(pool));
                let expected = self.model.acquire(pool, 1, self.model.max_len(pool));
                self.lent_one(pool, handle.acquire(), expected);
            }
            Operation::AcquireTimeout { pool, len } => {
                let (pool, handle) = find(pool)?;
                let len = len.of(self.model.max_len(pool));
                let expected = self.model.acquire_timeout(pool, 1, len);
                // By either of the two ways.
                let result = match len % 2 {
                    0 => handle.acquire_timeout(len, Duration::ZERO),
                    _ => at_once(handle.acquire_async(len).within(future::ready(()))),
                };
                self.lent_one(pool, result, expected);
            }
            Operation::AcquireMany { pool, count, len } => {
                let (pool, handle) = find(pool)?;
                let (count, len) = (count.buffers(), len.of(self.model.max_len(pool)));
                let result = handle.acquire_many(count, len);
                if count == 0 {
                    self.lent_none(pool, len, result);
                    return None;
                }
                let expected = self.model.acquire(pool, count, len);
                self.lent(pool, count, result, expected);
            }
            Operation::AcquireManyTimeout { pool, count, len } => {
                let (pool, handle) = find(pool)?;
                let (count, len) = (count.buffers(), len.of(self.model.max_len(pool)));
                // By either of the two ways.
                let result = match len % 2 {
                    0 => handle.acquire_many_async(count, len).wait_timeout(Duration::ZERO),
                    _ => {
                        let many = handle.acquire_many_async(count, len);
                        at_once(many.within(future::ready(())))
                    }
                };
                if count == 0 {
                    self.lent_none(pool, len, result);
                    return None;
                }
                let expected = self.model.acquire_timeout(pool, count, len);
                self.lent(pool, count, result, expected);
            }
            Operation::Request { pool, len, polled } if waiting.len() < AT_A_TIME => {
                let (pool, handle) = find(pool)?;
                let len = len.of(self.model.max_len(pool));
                let number = self.model.request(pool, 1, len);
                let future = Request::one(handle, len, number % 2 == 0);
                waiting.extend(self.begin(pool, number, 1, future, polled));
            }
            Operation::RequestMany {
                pool,
                count,
                len,
                polled,
            } if waiting.len() < AT_A_TIME => {
                let (pool, handle) = find(pool)?;
                let count = count.buffers().max(1);
                let len = len.of(self.model.max_len(pool));
                let number = self.model.request(pool, count, len);
                let future = Request::many(handle, count, len, number % 2 == 0);
                waiting.extend(self.begin(pool, number, count, future, polled));
            }
            Operation::Poll { which, new_waker } => {
                let which = choose(which, waiting.len())?;
                let one = waiting.remove(which);
                let waits = self.poll(one, new_waker);
                waiting.splice(which..which, waits);
            }
            Operation::Cancel { which } => {
                let which = choose(which, waiting.len())?;
                self.cancel(waiting.remove(which));
            }
            Operation::Release { which } => self.release(choose(which, self.held.len())?),
            Operation::Forget { which } => {
                let which = choose(which, self.held.len())?;
                let (lender, held) = self.held.swap_remove(which);
                let lender = lender.with_dirty(held.dirty());
                self.forgotten.push((lender, ManuallyDrop::new(held.buf)));
            }
            Operation::OnBuffer { which, operation } => {
                let which = choose(which, self.held.len())?;
                self.held[which].1.apply(operation, &mut self.stamps);
            }
            Operation::Freeze { which } => {
                let which = choose(which, self.held.len())?;
                self.freeze(which);
            }
            Operation::CloneFrozen { which } => {
                let which = choose(which, self.frozen.len())?;
                let parts = &mut self.frozen[which].parts;
                if parts.len() < AT_A_TIME {
                    parts.push(parts[0].clone());
                }
            }
            Operation::SliceFrozen { which, from, to } => {
                let which = choose(which, self.frozen.len())?;
                let parts = &mut self.frozen[which].parts;
                let (bytes, expected) = &parts[0];
                let to = to.of(bytes.len()).min(bytes.len());
                let from = from.of(to).min(to);
                let part = (bytes.slice(from..to), expected[from..to].to_vec());
                // An empty one keeps nothing.
                if from < to && parts.len() < AT_A_TIME {
                    parts.push(part);
                }
            }
            Operation::DropFrozen { which } => {
                self.drop_frozen(choose(which, self.frozen.len())?);
            }
            Operation::Lend { len, again } if self.held.len() < 4 * AT_A_TIME => {
                let (buf, dirty) = self.own_memory.lend(len.into(), again);
                let capacity = buf.capacity();
                let lender = Lender::OwnMemory { capacity, dirty };
                let unwritten = Unwritten {
                    poison: false,
                    memory_is_wiped: false,
                };
                self.held.push((lender, Held::new(buf, capacity, dirty, unwritten)));
            }
            Operation::SetMax { pool, tier, max } => {
                let (pool, handle) = find(pool)?;
                let tiers = &self.model.pools[pool].tiers;
                let tier = usize::from(tier) % tiers.len();
                let number = tiers[tier];
                let max = max.buffers();
                if let Some(result) = handle.set_max(tier, max) {
                    let result = result.map_err(|error| (error.requested, error.reserve));
                    assert_eq!(result, self.model.set_max(number, max));
                }
            }
            Operation::Trim { pool } => {
                let (_, handle) = find(pool)?;
                let before = handle.stats().resident_bytes;
                handle.trim();
                assert!(handle.stats().resident_bytes <= before);
            }
            Operation::Close { pool, really } if really.is_now() => {
                let (pool, handle) = find(pool)?;
                let tiers = &self.model.pools[pool].tiers;
                let (holders, outstanding) = match really.part() {
                    None => {
                        self.model.close(pool);
                        (handle.close(), self.model.outstanding(pool))
                    }
                    Some(part) => {
                        let tier = part % tiers.len();
                        let number = tiers[tier];
                        self.model.close_tier(number);
                        (handle.close_tier(tier), self.model.tiers[number].in_use)
                    }
                };
                assert_eq!(holders.outstanding(), outstanding);
            }
            Operation::CloneHandle { pool } => {
                let (pool, handle) = find(pool)?;
                if self.handles.len() < AT_A_TIME {
                    self.handles.push((pool, handle.another_handle()));
                }
            }
            Operation::DropHandle { pool, really } if really.is_now() => {
                let (pool, _) = find(pool)?;
                match self.handles.iter().position(|(of, _)| *of == pool) {
                    Some(other) => drop(self.handles.swap_remove(other)),
                    None => return Some(pool),
                }
            }
            Operation::AcquireShared { pool, count, len } => {
                let (pool, handle) = find(pool)?;
                let (count, len) = (count.buffers().max(1), len.of(self.model.max_len(pool)));
                let result = handle.share(&self.share).acquire_many(count, len);
                let bytes = handle.capacity_for(len).map_or(0, |each| each.saturating_mul(count));
                if bytes > SHARE - self.share_lent {
                    // Whoever does not use the share notices nothing.
                    assert!(matches!(result, Err(AcquireError::OverBudget { budget: SHARE, .. })));
                    return None;
                }
                let before = self.held.len();
                let expected = self.model.acquire(pool, count, len);
                self.lent(pool, count, result, expected);
                for (lender, held) in &mut self.held[before..] {
                    let Lender::Tier(tier) = *lender else {
                        unreachable!("it was just lent")
                    };
                    *lender = Lender::Share(tier);
                    self.share_lent += held.buf.capacity();
                }
            }
            Operation::Split { which, at, front } => {
                let which = choose(which, self.held.len())?;
                self.split(which, at, front);
            }
            Operation::Reclaim { which } => {
                let which = choose(which, self.held.len())?;
                self.reclaim(which);
            }
            Operation::Request { .. }
            | Operation::RequestMany { .. }
            | Operation::Lend { .. }
            | Operation::Close { .. }
            | Operation::DropHandle { .. } => {}
        }
        None
    }

    /// A request for `count` buffers that may be polled at once; it is returned unless it is ready then.
    fn begin<'p>(
        &mut self,
        pool: usize,
        number: usize,
        count: usize,
        future: Request<'p>,
        polled: bool,
    ) -> Option<Waiting<'p>> {
        let one = Waiting {
            future,
            pool,
            number,
            count,
            bell: Bell::default(),
        };
        match polled {
            true => self.poll(one, false),
            false => Some(one),
        }
    }

    /// Compares the result of a request for no buffers.
    fn lent_none(&self, pool: usize, len: usize, result: Result<Vec<PooledBuf>, AcquireError>) {
        let result = result.map(|none| assert_eq!(none.len(), 0)).map_err(plain);
        assert_eq!(result, self.model.acquire_none(pool, len));
    }

    fn lent_one(
        &mut self,
        pool: usize,
        result: Result<PooledBuf, AcquireError>,
        expected: Result<usize, AcquireError>,
    ) {
        self.lent(pool, 1, result.map(|buf| vec![buf]), expected);
    }

    /// Compares the result of a request for `count` buffers, and keeps the guards.
    fn lent(
        &mut self,
        pool: usize,
        count: usize,
        result: Result<Vec<PooledBuf>, AcquireError>,
        expected: Result<usize, AcquireError>,
    ) {
        match (result, expected) {
            (Ok(bufs), Ok(tier)) => {
                assert_eq!(bufs.len(), count);
                bufs.into_iter().for_each(|buf| self.keep(pool, tier, buf));
            }
            (result, expected) => {
                let error = result.err();
                if let Some(error) = &error {
                    assert!(error.pool().starts_with(self.model.pools[pool].name));
                    self.check_holders(pool, error);
                }
                assert_eq!(error.map(plain), expected.err());
            }
        }
    }

    /// Compares what an error says of those that hold the pool's buffers.
    fn check_holders(&self, pool: usize, error: &AcquireError) {
        let AcquireError::Exhausted { max, held_by, .. } = error else {
            return;
        };
        // Of the tier that fits, and of the next if it was tried: of those with such a max.
        let known = held_by.as_ref().map_or(0, |held_by| held_by.most().buffers());
        let tiers = &self.model.pools[pool].tiers;
        let one_or_two = tiers.chunks(1).chain(tiers.windows(2));
        assert!(one_or_two.into_iter().any(|asked| {
            let asked = asked.iter().map(|tier| &self.model.tiers[*tier]);
            let (mut of, mut tracked) = (0, 0);
            for tier in asked {
                of += tier.max();
                tracked += if tier.setup.track_holders { tier.in_use } else { 0 };
            }
            of == *max && known <= tracked && (known > 0) == (tracked > 0)
        }));
    }

    /// A new guard, of a buffer of that tier.
    fn keep(&mut self, pool: usize, tier: usize, buf: PooledBuf) {
        assert!(self.model.pools[pool].tiers.contains(&tier));
        let setup = self.model.tiers[tier].setup;
        let at = buf.as_ptr() as usize;
        assert_eq!(at % setup.alignment, 0);
        let others = self.held.iter().map(|(_, held)| held.buf.as_ptr());
        let forgotten = self.forgotten.iter().map(|(_, buf)| buf.as_ptr());
        // Of a buffer that is split, any part.
        let buffer = at..at + setup.size;
        let mut others = others.chain(forgotten);
        assert!(others.all(|other| !buffer.contains(&(other as usize))), "lent twice");
        let unwritten = Unwritten {
            poison: setup.wipe == Wipe::Poison,
            memory_is_wiped: setup.wipe != Wipe::Never,
        };
        let held = Held::new(buf, setup.size, 0, unwritten);
        self.held.push((Lender::Tier(tier), held));
    }

    /// Returns the request if it still waits.
    fn poll<'p>(&mut self, mut waiting: Waiting<'p>, new_waker: bool) -> Option<Waiting<'p>> {
        if new_waker {
            waiting.bell = Bell::default();
            self.model.new_waker(waiting.number);
        }
        let pool = waiting.pool;
        let expected = self.model.poll(waiting.number);
        let waker = waiting.bell.waker();
        let result = waiting.future.poll(&mut Context::from_waker(&waker));
        match (result, expected) {
            (Poll::Ready(result), Poll::Ready(expected)) => {
                self.lent(pool, waiting.count, result, expected);
                None
            }
            (result, expected) => {
                assert_eq!(result.is_pending(), expected.is_pending());
                Some(waiting)
            }
        }
    }

    fn cancel(&mut self, waiting: Waiting<'_>) {
        drop(waiting.future);
        self.model.cancel(waiting.number);
    }

    fn release(&mut self, which: usize) {
        let (lender, held) = self.held.swap_remove(which);
        let lender = lender.with_dirty(held.dirty());
        drop(held);
        self.released(lender);
    }

    fn released(&mut self, lender: Lender) {
        match lender {
            Lender::Tier(tier) => self.model.release(tier),
            Lender::Share(tier) => {
                self.share_lent -= self.model.tiers[tier].setup.size;
                self.model.release(tier);
            }
            Lender::Split(number) => {
                let (lender, parts) = &mut self.split[number];
                *parts -= 1;
                // It is out until the last part of it is dropped.
                if *parts == 0 {
                    let lender = *lender;
                    self.released(lender);
                }
            }
            Lender::OwnMemory { capacity, dirty } => {
                self.own_memory.came_back(capacity, dirty);
            }
        }
    }

    fn split(&mut self, which: usize, at: Length, front: bool) {
        if self.held.len() >= 4 * AT_A_TIME || matches!(self.held[which].0, Lender::OwnMemory { .. }) {
            return;
        }
        let (mut lender, held) = self.held.swap_remove(which);
        let (held, other) = held.split(at, front);
        if let Some(other) = other {
            let number = match lender {
                Lender::Split(number) => number,
                Lender::Tier(_) | Lender::Share(_) => {
                    self.split.push((lender, 1));
                    self.split.len() - 1
                }
                Lender::OwnMemory { .. } => unreachable!("it is not split"),
            };
            self.split[number].1 += 1;
            lender = Lender::Split(number);
            self.held.push((lender, other));
        }
        self.held.push((lender, held));
    }

    fn reclaim(&mut self, which: usize) {
        let (lender, held) = &mut self.held[which];
        let Lender::Split(number) = *lender else {
            return held.reclaim(None, true);
        };
        let (whole, parts) = &mut self.split[number];
        let (Lender::Tier(tier) | Lender::Share(tier)) = *whole else {
            unreachable!("it is of a pool")
        };
        held.reclaim(Some(self.model.tiers[tier].setup.size), *parts == 1);
        if *parts == 1 {
            *parts = 0;
            *lender = *whole;
        }
    }

    fn freeze(&mut self, which: usize) {
        let (lender, held) = self.held.swap_remove(which);
        let lender = lender.with_dirty(held.dirty());
        let expected = held.bytes().to_vec();
        let bytes = held.buf.freeze();
        assert_eq!(bytes, expected);
        if bytes.is_empty() {
            // It keeps no buffer.
            self.released(lender);
        } else {
            self.frozen.push(Frozen {
                lender,
                parts: vec![(bytes, expected)],
            });
        }
    }

    /// One of its parts.
    fn drop_frozen(&mut self, which: usize) {
        self.frozen[which].parts.swap_remove(0);
        if self.frozen[which].parts.is_empty() {
            let frozen = self.frozen.swap_remove(which);
            self.released(frozen.lender);
        }
    }

    fn check(&self, pools: &[Option<Box<dyn AnyPool>>], waiting: &[Waiting<'_>]) {
        for (_, held) in &self.held {
            held.check();
        }
        for (bytes, expected) in self.frozen.iter().flat_map(|frozen| &frozen.parts) {
            assert_eq!(bytes, expected);
        }
        for one in waiting {
            let expected = self.model.wakes(one.number);
            assert_eq!(one.bell.rings(), expected, "woken how often");
        }
        for (number, pool) in pools.iter().enumerate() {
            if let Some(pool) = pool {
                self.model.check(number, &pool.stats());
            }
        }
        for (number, budget) in self.budgets.iter().enumerate() {
            self.model.check_budget(number, &budget.stats());
        }
        assert_eq!(self.share.lent(), self.share_lent);
        self.own_memory.check();
    }

    /// Everything is back: each tier can lend as many as its max again, one after the other.
    fn assert_whole(mut self, pools: &[Option<Box<dyn AnyPool>>]) {
        for budget in &self.budgets {
            assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
        }
        for (number, pool) in pools.iter().enumerate() {
            let Some(pool) = pool else { continue };
            assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
            for tier in self.model.pools[number].tiers.clone() {
                let (size, max) = (self.model.tiers[tier].setup.size, self.model.tiers[tier].max());
                for _ in 0..=max {
                    let expected = self.model.acquire(number, 1, size);
                    self.lent_one(number, pool.acquire_for(size), expected);
                    self.check(pools, &[]);
                }
                while !self.held.is_empty() {
                    self.release(0);
                }
                self.check(pools, &[]);
                let expected = self.model.acquire(number, max, size);
                self.lent(number, max, pool.acquire_many(max, size), expected);
                self.check(pools, &[]);
                while !self.held.is_empty() {
                    self.release(0);
                }
            }
        }
    }
}
