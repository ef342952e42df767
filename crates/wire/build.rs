//! Compiles `proto/` without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["exchange.proto", "manifest.proto"].map(|file| format!("../../proto/{file}"));
    for file in &files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["../../proto"])?;
    prost_build::Config::new()
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
