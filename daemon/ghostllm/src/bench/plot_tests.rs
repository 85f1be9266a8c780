use super::*;

fn drawn(direct: &[f64], gateway: &[f64], screen: &Screen) -> String {
    let legs = [
        Series { name: "direct", tone: Tone::Direct, values: direct },
        Series { name: "gateway", tone: Tone::Gateway, values: gateway },
    ];
    draw("first token, ms", &legs, screen)
}

/// Numbers that scatter as times do: most are near, a few far above.
fn times(count: u32, from: f64, spread: f64) -> Vec<f64> {
    let share = |number: u32| (f64::from(number * 37 % count) + 0.5) / f64::from(count);
    (0..count).map(|number| from - spread * (1.0 - share(number)).ln()).collect()
}

#[test]
fn hills_and_middles_are_drawn_as_they_are() {
    let (direct, gateway) = (times(32, 12.0, 1.0), times(32, 13.0, 1.2));
    assert_eq!(drawn(&direct, &gateway, &Screen::of_test(80, true)), SCATTERED);
    assert_eq!(drawn(&direct, &gateway, &Screen::of_test(80, false)), IN_ASCII);
}

#[test]
fn odd_values_are_drawn_as_well() {
    let narrow = &Screen::of_test(40, true);
    assert_eq!(drawn(&[7.25; 40], &[7.25; 40], narrow), ALL_EQUAL);
    assert_eq!(drawn(&[1.0], &[], narrow), ONE);
    assert_eq!(drawn(&[0.0; 5], &[0.0; 3], narrow), ZEROS);
    let near = [10.0, 10.1, 10.2, 10.3, 10.4, 10.5];
    assert_eq!(drawn(&[near.as_slice(), &[10.6, 900.0]].concat(), &near, narrow), ONE_FAR);
}

#[test]
fn no_line_is_wider_than_the_screen_and_ascii_stays_ascii() {
    let odd: [(&[f64], &[f64]); 9] = [
        (&[], &[]),
        (&[1.0], &[]),
        (&[1.0], &[1.0]),
        (&[0.0; 5], &[0.0; 3]),
        (&[7.25; 40], &[7.25; 40]),
        (&[1e-9, 2e-9], &[1e9]),
        (&[-3.0, -2.0, -1.0], &[0.5]),
        (&[10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 900.0], &[10.0, 10.1, 10.2, 10.3, 10.4, 10.5]),
        (&[f64::MAX / 4.0, 1.0], &[2.0, 3.0]),
    ];
    for (direct, gateway) in odd {
        for width in [40, 41, 60, 80] {
            for unicode in [true, false] {
                let text = drawn(direct, gateway, &Screen::of_test(width, unicode));
                for line in text.lines() {
                    assert!(line.chars().count() <= width && line.trim_end() == line, "{width}: {line:?}");
                    assert!(unicode || line.is_ascii(), "{line:?}");
                }
                assert_eq!(text.is_empty(), direct.is_empty() && gateway.is_empty(), "{text}");
            }
        }
    }
}

const SCATTERED: &str = "\
first token, ms
          │  ▃▅▇███▇▅▄▂▁
   direct │▅████████████▇▆▅▄▃▂▁
          │█████████████████████▇▇▆▆▅▅▄▄▄▃▃▃▃▂▂▂▂▁▁▁▁▁▁▁▁▂▂▁▁▁▁▁
          │    ├───●───────┤
          │              ▁▃▃▄▄▄▃▂▁
  gateway │          ▁▄▆███████████▇▆▅▄▃▃▂▁
          │   ▁▁▂▃▄▆█████████████████████████▇▇▆▆▅▅▅▄▄▄▃▃▃▃▃▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
          │                ├────●───────┤
          └─┬──────────┬──────────┬──────────┬──────────┬──────────┬──────────┬─
           12         13         14         15         16         17         18
";

const IN_ASCII: &str = "\
first token, ms
          |  .:#####::..
   direct |:#############:::...
          |#######################:::::::.......................
          |    |---o-------|
          |              ...:::...
  gateway |          .::############:::....
          |   ....::###########################::::::::.........................
          |                |----o-------|
          +-+----------+----------+----------+----------+----------+----------+-
           12         13         14         15         16         17         18
";

const ALL_EQUAL: &str = "\
first token, ms
          │              █
   direct │             ▇█▇
          │            ▃███▃
          │              ●
          │              █
  gateway │             ▇█▇
          │            ▃███▃
          │              ●
          └─────────┬─────────┬─────────
                   7.0       7.5
";

const ONE: &str = "\
first token, ms
          │              █
   direct │             ▇█▇
          │            ▃███▃
          │              ●
          │
  gateway │
          │
          │
          └┬─────────────┬─────────────┬
           0.5          1.0          1.5
";

const ZEROS: &str = "\
first token, ms
          │█
   direct │█▇
          │██▃
          │●
          │█
  gateway │█▇
          │██▃
          │●
          └┬──────────┬──────────┬──────
           0.0       0.2        0.4
";

const ONE_FAR: &str = "\
first token, ms
          │   ▁▁
   direct │▁▅███▇▄
          │███████▇▃▁
          │ ├─●─┤
          │ ▄██▇▂
  gateway │▃█████▁
          │███████▂
          │ ├●─┤
          └─┬─────────────────┬─────────
           10                12
   direct   1 beyond this axis: 900.0
";
