//! The simulator against what was measured.

use ghostllm_heat_claim::sim::{A4000, BLACKWELL, Case, Device, Load, RTX_3090, TICK, V100};

const PROMPT: Load = Load { busy: 1.0, prefill: 1.0, decoding: 0.0 };

fn alone() -> Load {
    Load { busy: 1.0, prefill: 0.0, decoding: 1.0 }
}

#[test]
fn probe() {
    let mut d = Device::idle(&A4000, &Case::measured(&A4000));
    println!("A4000 idle {:.1} fan {:.2}", d.celsius(), d.fan());
    let mut flag = None;
    for i in 0..1500 {
        let load = if d.now() < 29.0 { Load::default() } else { PROMPT };
        d.step(&load);
        if d.slowdown().hard && flag.is_none() {
            flag = Some(d.now());
        }
        if i % 100 == 79 || i == 779 || i == 879 || i == 1049 {
            println!(
                "{:.0} s {:.1} C fan {:.2} {:.0} W {:.0} MHz {:?}",
                d.now(),
                d.celsius(),
                d.fan(),
                d.watts(),
                d.mhz(),
                d.slowdown()
            );
        }
    }
    println!("flag {flag:?}");
    let mut d = Device::idle(&RTX_3090, &Case::measured(&RTX_3090)).at(49.0, 47.0);
    println!("3090 idle {:.1}", Device::idle(&RTX_3090, &Case::measured(&RTX_3090)).celsius());
    for i in 0..6000 {
        let c = d.step(&alone());
        if i % 300 == 299 {
            println!(
                "{:.0} s {:.1} C fan {:.2} {:.0} W {:.0} MHz {:?} {:.2} tok/s",
                d.now(),
                d.celsius(),
                d.fan(),
                d.watts(),
                d.mhz(),
                d.slowdown(),
                1.0 / RTX_3090.speed.step(1.0, c)
            );
        }
    }
    let mut d = Device::idle(&V100, &Case::measured(&V100));
    println!("V100 idle {:.1}", d.celsius());
    for i in 0..1500 {
        d.step(&Load { busy: 0.97, prefill: 0.0, decoding: 4.0 });
        if i % 100 == 99 {
            println!(
                "{:.0} s {:.1} C {:.0} W {:.0} MHz {:?}",
                d.now(),
                d.celsius(),
                d.watts(),
                d.mhz(),
                d.slowdown()
            );
        }
    }
    for cap in [600.0, 550.0, 500.0, 450.0, 400.0] {
        let mut card = BLACKWELL;
        card.power.limit = cap;
        let mut d = Device::idle(&card, &Case::measured(&card));
        let mut c = 1.0;
        for _ in 0..(3000.0 / TICK / 10.0) as usize {
            c = d.step(&Load { busy: 1.0, prefill: 0.05, decoding: 32.0 });
        }
        println!(
            "PRO {cap} W: {:.1} C fan {:.2} {:.0} W {:.0} MHz {:.0} tok/s",
            d.celsius(),
            d.fan(),
            d.watts(),
            d.mhz(),
            32.0 / card.speed.step(32.0, c)
        );
    }
    for b in [1.0, 8.0, 32.0] {
        println!("3090 b{b} {:.1} ms", RTX_3090.speed.step(b, 1.0) * 1e3);
    }
}
