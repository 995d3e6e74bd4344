//! The four pools and the guard, in a minute: `cargo run --example quick_start`.

use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizePool, Pool, PooledBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Equal buffers behind a mutex: 8 KiB each, 50 at first, 100 at most. The one to begin with.
    let pool = BufferPool::new(8192, 50, 100)?;
    let mut buf = pool.acquire()?;
    buf.extend_from_slice(b"hello ")?;
    let mut socket: &[u8] = b"world";
    buf.read_from(&mut socket)?; // or a file, or a slice; `read_from_any` takes any reader
    println!("{:?} in a {buf:?}", String::from_utf8_lossy(&buf));

    // A guard starts empty and knows its capacity; what does not fit is refused, not reallocated.
    println!("too much: {}", buf.extend_from_slice(&[0; 9000]).unwrap_err());

    // It belongs to nobody's lifetime: another thread may drop it, after the pool's last handle is gone.
    let everything: Vec<PooledBuf> = (1..100).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
    println!("all lent: {}", pool.acquire().unwrap_err());
    println!("{}", pool.stats());
    drop(pool);
    let dropped = std::thread::spawn(move || drop((buf, everything)));
    dropped.join().map_err(|_| "the thread panicked")?;

    // Buffers on cache-line boundaries, or on a page's for direct I/O.
    let aligned = AlignedPool::with_alignment(4096, 16, 4096)?;
    println!("starts at {:p}", aligned.acquire()?.spare_mut().as_ptr());

    // Never takes a lock; how many there are is part of the type.
    let lock_free = LockFreePool::<64>::new(2048)?;
    println!("{}", lock_free.stats());

    // Several sizes: a request gets the smallest buffer that holds it.
    let multi_size = MultiSizePool::new()?;
    for len in [40, 500, 2000, 8000, 30_000] {
        println!("{len} bytes: {:?}", multi_size.acquire_for(len)?);
    }

    // All of them are a `Pool`, so a server can change its mind in one line.
    let pools: [&dyn Pool; 3] = [&aligned, &lock_free, &multi_size];
    for pool in pools {
        println!("{}: up to {} bytes", pool.stats().name, pool.max_len());
    }
    Ok(())
}
