//! The cards, a source for each number.
//!
//! Knows four cards and whence their numbers are. Refuses to know the governor. Invariant: frozen on 2026-11-30, before the governor was
//! tuned; `checks/measured.rs` holds this file to its checksum and to what was measured. "Assumed" is what nobody has published: the
//! claim is run with it varied as well (`heat-claim`, "If the assumptions are wrong").

use super::{Card, Clocks, Fan, Limits, Power, Speed, Thermal};

/// NVIDIA RTX A4000, the hotter of two, a blower that breathes the other's exhaust (rammsguns/llm-rig#97, its TUNING.md).
///
/// - Thermal: #97 has 58 °C at rest, 85 at 78 s, 90 at 88 s, 92 at most, at 140 W from when the model is loaded. One exponential through
///   these within 1.5 °C ends at about 98 °C with a time constant of 45 s; so `to_air` and the masses. `to_sink`, `die` and the intake
///   (a neighbour's exhaust) are assumed.
/// - Fan: #97, 42 % at 58 °C, 66 % at 85, 70 % at 92, never more.
/// - Power: limit 140 W (#97). 1,215 to 1,155 MHz at 140 W, which gives `core`; that the clock fell by 5 % while it warmed by 7 °C gives
///   `leak`. `idle` is what 58 °C at 42 % of the fan need; `memory` is assumed.
/// - Clocks: 1,875 MHz unthrottled, 375 at least (#97, #100). The knee and the rise are those of the RTX 3090, of the same family.
/// - Limits: the hardware's flag came at 92 °C (#97); no driver's before it. Off 5 °C above (ADLINK's manual of the RTX 5000 has 97.5 and
///   102.5), what is left of the clocks (375 of 936 MHz, #100), and the hysteresis are assumed.
/// - Speed: 120 tokens/s alone, the same within 0.4 % from 140 to 100 W; prompts 2,349 tokens/s at 1,325 MHz (TUNING.md). How steps grow
///   with requests is assumed: more experts are read.
pub const A4000: Card = Card {
    name: "RTX A4000, blower",
    thermal: Thermal { die: 12.0, sink: 145.0, to_sink: 0.06, to_air: 0.262, intake: 45.0 },
    fan: Fan { low: (58.0, 0.42), high: (92.0, 0.70) },
    power: Power { idle: 24.0, memory: 25.0, leak: 0.6, core: 0.0745, active_alone: 0.6, limit: 140.0 },
    clocks: Clocks { most: 1875.0, least: 375.0, step: 15.0, knee: 1450.0, rise: 0.12 },
    limits: Limits { soft: None, slowdown: 92.0, shutdown: 97.0, left: 0.4, hysteresis: 3.0 },
    speed: Speed { step: 0.0083, compute: 0.09, compute_more: 0.10, memory_more: 0.08, prefill: 3320.0 },
};

/// NVIDIA RTX 3090, the second of two, pressed between the first and the supply (noonghunna/club-3090#178).
///
/// - Thermal: #178 has 49 °C cold, 80 after the first burst, 85, 87, 89 and 90 to 91 after three and a half minutes, at 1,725 MHz first
///   and 1,365 in the end. `to_sink` and the masses are fitted to these; the intake is assumed.
/// - Fan: assumed, to full speed at the driver's limit.
/// - Power: limit 350 W. 285 W at 1,695 MHz and 278 at 1,635, at 87 °C (#104); 314 W at 1,640 MHz reading prompts
///   (ashalliants/ninfer-3090#72); 210 W at 1,395 and 220 at 1,470 (#103, with water): so `core`, knee and rise. `memory` and `leak` are
///   assumed.
/// - Clocks: 1,950 MHz at most (#104); 1,725 is what it began with in #178, and is taken for the highest. 210 at least.
/// - Limits: 90, 92 and 95 °C, what nvidia-smi lists for the card in ArchWiki's "NVIDIA/Tips and tricks"; #178 was held at 90 to 91. What the
///   hardware leaves and its hysteresis are assumed.
/// - Speed: a model of 8 billion weights of 4 bits: 0.24 requests of 256 tokens a second alone, 1.52 for 8 at once, 3.80 for 32
///   (gigagpu.com, "RTX 3090: Maximum LLM Throughput"). Compute to memory: 20.5 % less clock cost 5.2 % of the tokens (#178). Prompts:
///   142 TFLOPS (llmperf.net) at 40 %, assumed.
pub const RTX_3090: Card = Card {
    name: "RTX 3090, pressed",
    thermal: Thermal { die: 50.0, sink: 560.0, to_sink: 0.10, to_air: 0.134, intake: 36.0 },
    fan: Fan { low: (50.0, 0.35), high: (88.0, 1.0) },
    power: Power { idle: 35.0, memory: 60.0, leak: 0.8, core: 0.146, active_alone: 0.6, limit: 350.0 },
    clocks: Clocks { most: 1725.0, least: 210.0, step: 15.0, knee: 1450.0, rise: 0.08 },
    limits: Limits { soft: Some(90.0), slowdown: 92.0, shutdown: 95.0, left: 0.4, hysteresis: 3.0 },
    speed: Speed { step: 0.0163, compute: 0.474, compute_more: 0.104, memory_more: 0.01, prefill: 3550.0 },
};

/// NVIDIA V100 (PCIe, without a fan of its own) in a tower with a fan beside it, and its memory as the sensor (bradrlaw/ai-server#15).
///
/// - Thermal: #15 has 41 °C at rest and 78 within 60 s at 175 W and 97 % busy, no further; slower at 85. `die` and `to_sink` are assumed.
/// - Fan: #15's stands beside the card and goes as it goes.
/// - Power: the limit is set to 175 W (#32: also 250 W, which is the card's own). The rest is assumed, so that 250 W come at 1,380 MHz.
/// - Clocks: 1,380 MHz (NVIDIA's data sheet of the V100 PCIe), steps of 7.5. The lowest is assumed.
/// - Limits: slower at 85 (#15). Hardware 89 and off at 92 as of NVIDIA's A100 of the same form (85, 89, 92 by nvidia-smi): assumed.
/// - Speed: the RTX 3090's model; 900 GB/s of the data sheet instead of 936, and 112 TFLOPS.
pub const V100: Card = Card {
    name: "V100, fan beside it",
    thermal: Thermal { die: 40.0, sink: 75.0, to_sink: 0.10, to_air: 0.155, intake: 33.0 },
    fan: Fan { low: (30.0, 1.0), high: (85.0, 1.0) },
    power: Power { idle: 30.0, memory: 45.0, leak: 0.4, core: 0.115, active_alone: 0.65, limit: 175.0 },
    clocks: Clocks { most: 1380.0, least: 135.0, step: 7.5, knee: 1000.0, rise: 0.15 },
    limits: Limits { soft: Some(85.0), slowdown: 89.0, shutdown: 92.0, left: 0.4, hysteresis: 3.0 },
    speed: Speed { step: 0.0170, compute: 0.474, compute_more: 0.12, memory_more: 0.01, prefill: 2800.0 },
};

/// NVIDIA RTX PRO 6000 Blackwell in a closed case (Light-Heart-Labs/MMBT-Messy-Model-Bench-Tests, vllm-power-sweep-2026-04-29).
///
/// - Thermal: 573 W at 74.6 °C, 547 at 77.1, 497.5 at 73.1, 447.7 at 69.3, each after five minutes: 0.098 K/W over 25 °C, assumed. The
///   masses are assumed, as of a card of twice the 3090's sink.
/// - Fan: assumed.
/// - Power: at 32 requests 573 W at 2,696 MHz, 547 at 2,634, 497.5 at 2,502, 447.7 at 2,104: so `core`, knee and rise; what does not go
///   with the clock is shared out between `idle` (assumed) and `memory`.
/// - Limits: 94 °C is where T.Limit is 0 on a Blackwell (ollama/ollama#13552: 81 °C and 13 below), off 5 above it (there), hardware 2 above
///   it (NVML's H100). What the hardware leaves and its hysteresis are assumed.
/// - Speed: 42.2 tokens/s for each of 32 at 2,696 MHz, 1,382 in all at 2,104 (2 % more than at 2,696, which is noise): hardly any compute.
///   Alone: 14 GB of weights over 1,792 GB/s of the data sheet at 54 %, assumed. Prompts: assumed, 10,000 tokens/s.
pub const BLACKWELL: Card = Card {
    name: "RTX PRO 6000, closed case",
    thermal: Thermal { die: 110.0, sink: 900.0, to_sink: 0.035, to_air: 0.051, intake: 28.0 },
    fan: Fan { low: (40.0, 0.30), high: (85.0, 1.0) },
    power: Power { idle: 45.0, memory: 150.0, leak: 0.8, core: 0.119, active_alone: 0.75, limit: 600.0 },
    clocks: Clocks { most: 2700.0, least: 210.0, step: 15.0, knee: 2450.0, rise: 0.08 },
    limits: Limits { soft: Some(94.0), slowdown: 96.0, shutdown: 99.0, left: 0.4, hysteresis: 3.0 },
    speed: Speed { step: 0.0145, compute: 0.12, compute_more: 0.04, memory_more: 0.0196, prefill: 10000.0 },
};

/// The cards that the governor may be tuned on.
pub const TUNING: [Card; 3] = [A4000, RTX_3090, V100];
/// The one that it may not.
pub const HELD_BACK: Card = BLACKWELL;
/// All of them.
pub const CARDS: [Card; 4] = [A4000, RTX_3090, V100, BLACKWELL];
