//! Decisions as the source of a test.

use std::fmt::Write as _;

use super::{Act, ClockSetup, Decision, Decisions, Restarts};
use crate::sim::HostId;

fn node(host: HostId) -> String {
    format!("\"n{}\"", host + 1)
}

fn list(texts: impl Iterator<Item = String>) -> String {
    format!("&[{}]", texts.collect::<Vec<_>>().join(", "))
}

fn nodes(hosts: &[HostId]) -> String {
    list(hosts.iter().copied().map(node))
}

impl Act {
    /// The call of the script's method that does it.
    fn call(&self) -> String {
        match self {
            Act::Boot { host, lower: false } => format!("boot({})", node(*host)),
            Act::Boot { host, lower: true } => format!("boot_lower({})", node(*host)),
            Act::Crash { host, silent: false } => format!("crash({})", node(*host)),
            Act::Crash { host, silent: true } => format!("switch_off({})", node(*host)),
            Act::Skew { host } => format!("skew({})", node(*host)),
            Act::Save { host } => format!("save({})", node(*host)),
            Act::KillLeaver { host } => format!("kill_leaver({})", node(*host)),
            Act::Pause { host, span } => format!("pause({}, {span})", node(*host)),
            Act::Cut { from, to } => format!("cut({}, {})", node(*from), node(*to)),
            Act::Uncut { from, to } => format!("uncut({}, {})", node(*from), node(*to)),
            Act::SlowLink { from, to, factor } => format!("slow_link({}, {}, {factor})", node(*from), node(*to)),
            Act::SlowNode { host, service } => format!("slow_node({}, {service})", node(*host)),
            Act::Disconnect { from, to } => format!("disconnect({}, {})", node(*from), node(*to)),
            Act::Congest { from, to, span } => format!("congest({}, {}, {span})", node(*from), node(*to)),
            Act::Leave { host, deadline, hub_only: false } => format!("leave({}, {deadline})", node(*host)),
            Act::Heal { core, crashed, silenced } => {
                format!("heal_without({}, {}, {})", nodes(core), nodes(crashed), nodes(silenced))
            }
            Act::Migrate { host, child, to, timeout } => {
                format!("migrate({}, \"c{child}\", {}, {timeout})", node(*host), node(*to))
            }
            Act::Drain { host, deadline } => format!("drain({}, {deadline})", node(*host)),
            Act::Operate { host, what } => format!("operate({}, Operation::{what:?})", node(*host)),
            // These have more to say than fits a line: as they are.
            other => format!("act(Act::{})", literal(other)),
        }
    }
}

/// A value as it is written in Rust; all lists in it are vectors.
fn literal(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}").replace('[', "vec![");
    let restarts =
        [Restarts::Permanent, Restarts::Transient, Restarts::Temporary].map(|restart| format!("{restart:?}"));
    restarts.iter().fold(text, |text, name| text.replace(name, &format!("Restarts::{name}")))
}

impl Decisions {
    /// The source of a test of this run, named after what it violates.
    #[must_use]
    pub fn to_test(&self) -> String {
        let violates = self.violates.clone().unwrap_or_else(|| "nothing".to_owned());
        let (setup, mut code) = (&self.setup, String::new());
        let name = format!("{}_seed_{}", violates.to_lowercase(), setup.seed);
        // Writing to a string cannot fail.
        let _ = writeln!(code, "/// {}", self.prose());
        let _ = writeln!(code, "#[test]\nfn {name}() {{");
        let _ = writeln!(code, "    use process_hub_simtests::decisions::*;\n");
        let _ = writeln!(code, "    let mut script = Script::new({}, {});", setup.seed, setup.nodes);
        self.write_setup(&mut code);
        for quirk in &self.quirks {
            let what = serde_json::to_string(&quirk.what).unwrap_or_default();
            let _ = writeln!(code, "    script.quirk({what}, {}, \"{}\", {});", node(quirk.host), quirk.of, quirk.nth);
        }
        for Decision { at, act, .. } in &self.decisions {
            let _ = writeln!(code, "    script.at({at}).{};", act.call());
        }
        if !self.decisions.iter().any(|decision| matches!(decision.act, Act::Heal { .. })) {
            let _ = writeln!(code, "    script.until({});", setup.faults_until);
        }
        code += "    script.assert_holds();\n}\n";
        code
    }

    fn write_setup(&self, code: &mut String) {
        let setup = &self.setup;
        let _ = writeln!(code, "    script.setup(|setup| {{");
        let _ = writeln!(code, "        (setup.delay, setup.jitter) = ({}, {});", setup.delay, setup.jitter);
        let _ = writeln!(code, "        setup.dial_timeout = {};", setup.dial_timeout);
        let flags = [("codec", setup.codec), ("altering", setup.altering), ("prompt", setup.prompt)];
        for (flag, on) in flags {
            let _ = writeln!(code, "        setup.{flag} = {on};");
        }
        if setup.disks {
            let _ = writeln!(code, "        setup.disks = true;");
        }
        if setup.disks_lag {
            let _ = writeln!(code, "        setup.disks_lag = true;");
        }
        if let Some(mailbox) = setup.mailbox {
            let _ = writeln!(code, "        setup.mailbox = Some({mailbox});");
        }
        if setup.neighbour {
            let _ = writeln!(code, "        setup.neighbour = true;");
        }
        if let Some(insider) = setup.insider {
            let _ = writeln!(code, "        setup.insider = Some({insider});");
        }
        if setup.brief {
            let _ = writeln!(code, "        setup.brief = true;");
        }
        if !setup.aliases.is_empty() {
            let _ = writeln!(code, "        setup.aliases = vec!{:?};", setup.aliases);
        }
        for (at, ClockSetup { offset, ppm }) in setup.clocks.iter().enumerate() {
            let _ = writeln!(code, "        setup.clocks[{at}] = ClockSetup {{ offset: {offset}, ppm: {ppm} }};");
        }
        if let Some(sabotage) = &setup.sabotage {
            let _ = writeln!(code, "        setup.sabotage = Some({sabotage:?}.to_owned());");
        }
        let _ = writeln!(code, "    }});");
        for (field, value) in &setup.hub {
            let _ = writeln!(code, "    script.set({field:?}, {value:?});");
        }
    }
}
