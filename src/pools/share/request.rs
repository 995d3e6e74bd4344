//! A request of a share that can wait: first for the share's bytes, then for the pool.
#![forbid(unsafe_code)]

use std::mem;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::base::sync::Mutex;
use crate::buf::guard::PooledBuf;
use crate::pools::pool::Pool;
use crate::pools::share::account::SharedShare;
use crate::report::error::acquire::AcquireError;
use crate::report::name::Name;
use crate::waiting::acquire::{Acquire, Lender, Request};
use crate::waiting::charge::{Charge, ChargeWait};
use crate::waiting::counts::Ending;
use crate::waiting::loan::Loan;
use crate::waiting::places::Ticket;
use crate::waiting::waker::UserWaker;

/// A new request of that share.
pub(super) fn of<P: Pool + 'static>(shared: &Arc<SharedShare<P>>) -> Box<dyn Lender> {
    Box::new(ShareRequest {
        shared: Arc::clone(shared),
        stage: Mutex::new(Stage::New),
        number: Mutex::new(None),
    })
}

/// See the module.
struct ShareRequest<P> {
    shared: Arc<SharedShare<P>>,
    stage: Mutex<Stage>,
    /// Its number among those that are woken when the share is closed.
    number: Mutex<Option<u64>>,
}

enum Stage {
    New,
    ForBytes(ChargeWait, u64),
    InPool(Charge, InPool),
    Done,
}

/// A request of the pool behind.
enum InPool {
    One(Acquire<'static>),
    Many(Acquire<'static, Vec<PooledBuf>>),
}

impl InPool {
    fn poll(&mut self, waker: &Waker) -> Poll<Result<Vec<PooledBuf>, AcquireError>> {
        match self {
            InPool::One(request) => request.poll_lent(waker).map_ok(|buf| vec![buf]),
            InPool::Many(request) => request.poll_lent(waker),
        }
    }

    /// The time is up, or the request is dropped.
    fn leave(&mut self, ending: Ending) -> Result<Vec<PooledBuf>, Option<AcquireError>> {
        match self {
            InPool::One(request) => request.leave(ending).map(|buf| vec![buf]),
            InPool::Many(request) => request.leave(ending),
        }
    }
}

impl<P: Pool + 'static> ShareRequest<P> {
    fn in_pool(&self, request: &Request) -> InPool {
        let (pool, caller) = (&self.shared.pool, request.caller);
        match request.count {
            1 => InPool::One(pool.acquire_async(request.len).into_owned().for_caller(caller)),
            count => InPool::Many(
                pool.acquire_many_async(count, request.len)
                    .into_owned()
                    .for_caller(caller),
            ),
        }
    }

    /// Goes on as far as it can without waiting.
    fn poll(&self, request: &Request, waker: &Waker) -> Poll<Result<Loan, AcquireError>> {
        let shared = &*self.shared;
        let mut stage = self.stage.lock();
        loop {
            *stage = match mem::replace(&mut *stage, Stage::Done) {
                Stage::New => {
                    let Some(bytes) = shared.bytes_of(request.count, request.len) else {
                        // It says that it has none so large.
                        let refused = shared.pool.acquire_for(request.len);
                        return Poll::Ready(refused.map(Loan::one));
                    };
                    let budget = shared.budget();
                    if bytes > budget.limit() as u64 {
                        return Poll::Ready(Err(shared.over_budget(bytes, budget.lent(), false)));
                    }
                    match ChargeWait::join(budget, bytes, waker) {
                        Ok(charge) => Stage::InPool(charge, self.in_pool(request)),
                        Err(wait) => {
                            *stage = Stage::ForBytes(wait, bytes);
                            return Poll::Pending;
                        }
                    }
                }
                Stage::ForBytes(wait, bytes) => match wait.poll(waker) {
                    Poll::Ready(charge) => Stage::InPool(charge, self.in_pool(request)),
                    Poll::Pending => {
                        *stage = Stage::ForBytes(wait, bytes);
                        return Poll::Pending;
                    }
                },
                Stage::InPool(charge, mut in_pool) => match in_pool.poll(waker) {
                    Poll::Ready(lent) => {
                        let lent = lent.and_then(|bufs| shared.lend_all(bufs, charge));
                        // As many as were asked for, at least one.
                        let loan = lent.and_then(|bufs| Loan::many(bufs).ok_or_else(|| shared.closed()));
                        return Poll::Ready(loan);
                    }
                    Poll::Pending => {
                        *stage = Stage::InPool(charge, in_pool);
                        return Poll::Pending;
                    }
                },
                Stage::Done => return Poll::Ready(Err(shared.closed())),
            };
        }
    }

    /// Is to be woken when the share is closed; returns whether it is open.
    fn listen(&self, waker: &Waker) -> bool {
        let waker = UserWaker::clone_of(waker);
        let mut number = self.number.lock();
        let mut waiting = self.shared.waiting.lock();
        if self.shared.is_closed() {
            return false;
        }
        let number = *number.get_or_insert_with(|| {
            waiting.next += 1;
            waiting.next
        });
        let before = waiting.wakers.insert(number, waker);
        drop(waiting);
        drop(before);
        true
    }

    fn listen_no_more(&self) {
        let number = self.number.lock().take();
        let waker = number.and_then(|number| self.shared.waiting.lock().wakers.remove(&number));
        drop(waker);
    }

    /// Leaves whatever it waits in. What was granted already is lent if the time is up.
    fn leave(&self, ending: Ending) -> Result<Loan, Option<AcquireError>> {
        self.listen_no_more();
        let stage = mem::replace(&mut *self.stage.lock(), Stage::Done);
        let shared = &*self.shared;
        // Closed by now, it would have waited in vain, however long.
        let closed = shared.is_closed();
        let ending = if closed { Ending::Refused } else { ending };
        match stage {
            Stage::ForBytes(wait, bytes) => {
                wait.leave(ending);
                if closed {
                    return Err(Some(shared.closed()));
                }
                let lent = shared.budget().lent();
                Err(Some(shared.over_budget(bytes, lent, true)))
            }
            Stage::InPool(charge, mut in_pool) => {
                let left = in_pool.leave(ending);
                let bufs = left.map_err(|why| if closed { Some(shared.closed()) } else { why })?;
                let bufs = shared.lend_all(bufs, charge).map_err(Some)?;
                Loan::many(bufs).ok_or(None)
            }
            Stage::New | Stage::Done => Err(None),
        }
    }
}

impl<P: Pool + 'static> Lender for ShareRequest<P> {
    fn name(&self) -> &Name {
        self.shared.name()
    }

    fn poll_lend(
        &self,
        request: &Request,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Loan, AcquireError>> {
        // Before it is polled: what closes the share after this wakes it.
        let polled = match self.listen(waker) {
            true => self.poll(request, waker),
            false => {
                drop(self.leave(Ending::Refused));
                Poll::Ready(Err(self.shared.closed()))
            }
        };
        *ticket = match polled {
            Poll::Pending => Some(Ticket::ONLY),
            Poll::Ready(_) => {
                self.listen_no_more();
                None
            }
        };
        polled
    }

    fn leave(&self, _: &Request, _: Ticket, ending: Ending) -> Result<Loan, Option<AcquireError>> {
        ShareRequest::leave(self, ending)
    }

    fn to_owned(&self) -> Box<dyn Lender> {
        of(&self.shared)
    }
}
