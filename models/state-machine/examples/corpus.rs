//! Makes the folders of inputs in which cargo-fuzz looks for its corpus, and back again the files that are kept:
//!
//! ```text
//! cargo run -p poolbuf-state-machine --example corpus -- unpack    fuzz/corpus/TARGET.txt into fuzz/corpus/TARGET/
//! cargo run -p poolbuf-state-machine --example corpus -- pack      and back, if there is such a folder; removes it
//! ```

use std::error::Error;
use std::fs;

use poolbuf_state_machine::corpus;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("unpack") => TARGETS.iter().try_for_each(|target| unpack(target)),
        Some("pack") => TARGETS.iter().try_for_each(|target| pack(target)),
        _ => Err("unpack or pack?".into()),
    }
}

const TARGETS: [&str; 4] = ["chains", "frames", "operations", "threads"];

fn unpack(target: &str) -> Result<(), Box<dyn Error>> {
    let folder = corpus::folder().join(target);
    let inputs = corpus::read(target)?;
    fs::create_dir_all(&folder)?;
    for (number, input) in inputs.iter().enumerate() {
        fs::write(folder.join(format!("line-{}", number + 2)), input)?;
    }
    println!("{target}: {} inputs", inputs.len());
    Ok(())
}

fn pack(target: &str) -> Result<(), Box<dyn Error>> {
    let folder = corpus::folder().join(target);
    if !folder.exists() {
        return Ok(());
    }
    let files = fs::read_dir(&folder)?.map(|file| fs::read(file?.path()));
    let text = corpus::print(files.collect::<Result<_, _>>()?);
    // An empty folder is no corpus.
    let inputs = corpus::parse(&text)?;
    fs::write(corpus::file(target), text)?;
    fs::remove_dir_all(folder)?;
    println!("{target}: {} inputs", inputs.len());
    Ok(())
}
