//! For the tests of this package: a server with a thread for each connection that sends all bytes back, and has the
//! fault that its argument names. It is told what to do as the example `tokio_server` is.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use poolbuf::{BufferPool, Pool};
use poolbuf_bad_clients::faults::Fault;
use poolbuf_bad_clients::figures::Figures;
use poolbuf_support::output::exit_code;

fn main() -> ExitCode {
    exit_code(serve())
}

/// Returns whether all buffers are back when it is told to stop.
fn serve() -> Result<bool, Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let fault = Fault::named(&name).ok_or("the argument names no fault")?;
    let pool = BufferPool::new(8192, 0, 16)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let lent = pool.clone();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (Ok(stream), pool) = (stream, lent.clone()) else {
                continue;
            };
            let shows = number % 10 == 9 || fault.shows_always();
            let fault = if shows { fault } else { Fault::Nothing };
            // What ends it is the client's business.
            thread::spawn(move || drop(echo(stream, &pool, fault)));
        }
    });
    println!("serving on {address}, until standard input ends");
    for _ in io::stdin().lines().map_while(Result::ok) {
        println!("{}", Figures::of(&pool.stats()));
    }
    if fault == Fault::DoesNotStop {
        // Until it is killed.
        loop {
            thread::park();
        }
    }
    Ok(pool.stats().in_use == 0)
}

fn echo(mut stream: TcpStream, pool: &BufferPool, fault: Fault) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_millis(300)))?;
    match fault {
        Fault::WaitsForSlowReaders => stream.set_write_timeout(None)?,
        Fault::KeepsMemory => std::mem::forget(vec![1_u8; 1 << 20]),
        Fault::KeepsConnections => std::mem::forget(stream.try_clone()?),
        Fault::Panics => panic!("as planned"),
        Fault::Dies => std::process::exit(3),
        _ => {}
    }
    while stream.peek(&mut [0])? > 0 {
        let mut buf = pool.acquire_timeout(8192, Duration::from_secs(1))?;
        if buf.read_from(&mut stream)? == 0 {
            return Ok(());
        }
        match fault {
            Fault::LosesBuffers => {
                std::mem::forget(buf);
                return Ok(());
            }
            Fault::AnswersWrongly => {
                let wrong: Vec<u8> = buf.iter().map(|byte| byte ^ 1).collect();
                stream.write_all(&wrong)?;
                continue;
            }
            Fault::ShowsOthersBytes => stream.write_all(b"another client's")?,
            _ => {}
        }
        stream.write_all(&buf)?;
    }
    Ok(())
}
