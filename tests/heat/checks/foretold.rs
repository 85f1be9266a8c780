//! What is foretold stays as near to what comes as `RESULTS.md` says.

use ghostllm_heat_claim::foretold::{AHEAD, Errors, curves};

/// The page that `just heat-claim` has written.
const SAID: &str = include_str!("../RESULTS.md");
/// Seconds, and what part of what is said, by which it may be worse: figures there are rounded, and another machine's exponential function
/// has other last digits.
const MORE: (f64, f64) = (0.3, 0.05);
/// Percent of a share, likewise.
const POINTS: f64 = 2.0;
/// The page is renewed by whoever has worsened it, too. What no renewal moves: so many seconds the median of any card may be off by, up to
/// ten seconds ahead, up to thirty and up to sixty. The governor looks 45 s ahead (`Policy::lead`).
const PROMISED: [f64; 3] = [8.0, 10.0, 25.0];

/// The cells behind the name of this card.
fn row(card: &str) -> Vec<&'static str> {
    let line = SAID.lines().find_map(|line| line.strip_prefix(&format!("| {card} | ")));
    let line = line.unwrap_or_else(|| panic!("RESULTS.md has no line of {card}: just heat-claim renews it"));
    line.trim_end_matches(" |").split(" | ").collect()
}

fn number(text: &str) -> f64 {
    let digits = text.split_whitespace().next().unwrap_or_default().trim_end_matches(',');
    digits.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

#[test]
fn it_is_foretold_as_well_as_the_page_says_and_as_is_promised() {
    let curves: Vec<_> = curves().into_iter().filter(|curve| curve.gets_slower().is_some()).collect();
    assert!(curves.len() >= 10, "{} curves", curves.len());
    let mut worst = [0.0_f64; PROMISED.len()];
    for curve in &curves {
        let (errors, cells) = (Errors::of(curve), row(&curve.name));
        assert_eq!(cells.len(), 7, "{cells:?}");
        for (place, (ahead, cell)) in AHEAD.iter().zip(&cells).enumerate() {
            let seen = errors.off(ahead);
            println!("{}: {ahead:?} s ahead, off by {seen:.1?} s, said {cell}", curve.name);
            assert_eq!(seen.is_none(), *cell == "none", "{}: {ahead:?}", curve.name);
            for (seen, said) in seen.into_iter().flatten().zip(cell.split(", ").map(number)) {
                let most = said + MORE.0 + MORE.1 * said;
                assert!(
                    seen <= most,
                    "{}: {ahead:?} s ahead it is off by {seen:.1} s, said {cell}",
                    curve.name
                );
            }
            if let (Some(worst), Some([median, _])) = (worst.get_mut(place), seen) {
                *worst = worst.max(median);
            }
        }
        let [within, near, far] = errors.percent();
        let [said_within, said_near, said_far] = [4, 5, 6].map(|place| number(cells[place]));
        assert!(within >= said_within - POINTS, "{}: {within:.1} % in its span", curve.name);
        assert!(near <= said_near + POINTS && far <= said_far + POINTS, "{}: {near:.1} {far:.1}", curve.name);
    }
    println!("the worst median of {} curves: {worst:.1?} s, promised {PROMISED:?}", curves.len());
    assert!(
        worst.iter().zip(PROMISED).all(|(worst, most)| *worst <= most),
        "{worst:?}, promised {PROMISED:?}"
    );
}

#[test]
fn what_never_comes_is_as_seldom_foretold_as_the_page_says() {
    let curves: Vec<_> = curves().into_iter().filter(|curve| curve.gets_slower().is_none()).collect();
    assert!(curves.len() >= 6, "{} curves never get slower", curves.len());
    for curve in &curves {
        let ([_, quiet, _], cells) = (Errors::of(curve).percent(), row(&curve.name));
        println!("{}: {quiet:.1} % quiet, said {cells:?}", curve.name);
        assert!(quiet >= number(cells[0]) - POINTS, "{}: {quiet:.1} %", curve.name);
    }
}
