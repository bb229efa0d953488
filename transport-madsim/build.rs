//! Refuses to build a simulation without the flag that makes it one: its tests would be none, and green.

fn main() {
    println!("cargo::rerun-if-env-changed=PROCESS_HUB_SIM");
    println!("cargo::rerun-if-env-changed=CARGO_CFG_MADSIM");
    let wanted = std::env::var_os("PROCESS_HUB_SIM").is_some_and(|wanted| wanted != "0");
    if wanted && std::env::var_os("CARGO_CFG_MADSIM").is_none() {
        println!(
            "cargo::error=a simulation needs `--cfg madsim` among the compiler's flags: a RUSTFLAGS environment variable has \
             replaced those of `cargo sim`; unset it, or add the flag to it"
        );
    }
}
