//! What points to a pool forwards every method, with every argument: what a pool of the user's does in place of a
//! default is done through `&P`, `Box<P>` and `Arc<P>` too.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use poolbuf::{Acquire, AcquireError, BufferPool, Holders, Pool, PoolStats, PooledBuf, PooledChain};

const COUNT: usize = 2;
const LEN: usize = 3;
const LIMIT: Duration = Duration::from_secs(4);

/// Does every method itself, and notes the call.
#[derive(Debug)]
struct Noting {
    pool: BufferPool,
    calls: Mutex<Vec<String>>,
}

impl Noting {
    fn new() -> Noting {
        Noting {
            pool: BufferPool::new(8, 0, 4).unwrap(),
            calls: Mutex::default(),
        }
    }
}

/// Each method with what it is called with.
macro_rules! methods {
    ($(fn $method:ident($($value:ident: $type:ty = $with:expr),*) -> $result:ty;)*) => {
        impl Pool for Noting {
            $(
                fn $method(&self $(, $value: $type)*) -> $result {
                    let values: Vec<String> = vec![$(format!("{:?}", $value)),*];
                    let call = format!("{}({})", stringify!($method), values.join(", "));
                    self.calls.lock().unwrap().push(call);
                    self.pool.$method($($value),*)
                }
            )*
        }

        /// The methods' names.
        const METHODS: &[&str] = &[$(stringify!($method)),*];

        /// Calls each method, and after each `took` with its name and what it was called with.
        #[allow(clippy::let_underscore_future)] // That it was asked for is enough.
        fn call_each<P: Pool>(pool: &P, mut took: impl FnMut(&str, String)) {
            $(
                let _ = P::$method(pool $(, $with)*);
                let values: Vec<String> = vec![$(format!("{:?}", $with)),*];
                took(stringify!($method), values.join(", "));
            )*
        }
    };
}

methods! {
    fn acquire() -> Result<PooledBuf, AcquireError>;
    fn acquire_for(len: usize = LEN) -> Result<PooledBuf, AcquireError>;
    fn acquire_timeout(len: usize = LEN, timeout: Duration = LIMIT) -> Result<PooledBuf, AcquireError>;
    fn acquire_async(len: usize = LEN) -> Acquire<'_>;
    fn acquire_many(count: usize = COUNT, len: usize = LEN) -> Result<Vec<PooledBuf>, AcquireError>;
    fn acquire_many_async(count: usize = COUNT, len: usize = LEN) -> Acquire<'_, Vec<PooledBuf>>;
    fn acquire_more(count: usize = COUNT, len: usize = LEN) -> Result<Vec<PooledBuf>, AcquireError>;
    fn acquire_chain(len: usize = LEN) -> Result<PooledChain, AcquireError>;
    fn acquire_chain_async(len: usize = LEN) -> Acquire<'_, PooledChain>;
    fn max_len() -> usize;
    fn stats() -> PoolStats;
    fn name() -> &str;
    fn capacity_for(len: usize = LEN) -> Option<usize>;
    fn handle_for(buf: &PooledBuf = &PooledBuf::try_from(vec![7]).unwrap()) -> Option<Box<dyn Send + Sync>>;
    fn holders() -> Holders;
    fn trim() -> usize;
    fn close() -> Holders;
}

fn assert_forwards<P: Pool>(through: &str, pool: &P, calls: &Mutex<Vec<String>>) {
    call_each(pool, |method, values| {
        let seen = std::mem::take(&mut *calls.lock().unwrap());
        // A default would have called others.
        assert_eq!(seen, [format!("{method}({values})")], "through {through}");
    });
}

#[test]
fn every_method_reaches_the_pool_that_is_pointed_to() {
    let noting = Arc::new(Noting::new());
    let calls = &noting.calls;
    assert_forwards("itself", &*noting, calls);
    assert_forwards("&P", &&*noting, calls);
    assert_forwards("&dyn Pool", &(&*noting as &dyn Pool), calls);
    assert_forwards("Arc<P>", &noting, calls);
    assert_forwards("Arc<dyn Pool>", &(noting.clone() as Arc<dyn Pool>), calls);
    assert_forwards("Box<P>", &Box::new(noting.clone()), calls);
    let boxed: Box<dyn Pool> = Box::new(noting.clone());
    assert_forwards("Box<dyn Pool>", &boxed, calls);
}

/// Or else the test above would pass by a method that is added to the trait and forgotten here.
#[test]
fn these_are_all_methods_of_the_trait() {
    let source = include_str!("../src/pools/pool.rs");
    let from = source.find("pub trait Pool").expect("the trait");
    let body = source[from..].split("\n}\n").next().expect("its end");
    let declared = body.lines().filter_map(|line| {
        let name = line.strip_prefix("    fn ")?;
        name.split(['(', '<']).next()
    });
    let mut declared: Vec<&str> = declared.collect();
    let mut called = METHODS.to_vec();
    declared.sort_unstable();
    called.sort_unstable();
    assert_eq!(called, declared);
}
