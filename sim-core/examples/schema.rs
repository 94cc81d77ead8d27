//! Prints the JSON Schema of the scenario language:
//! `cargo run -p sim-core --example schema > docs/scenario.schema.json`.

fn main() {
    print!("{}", sim_core::scenario::schema());
}
