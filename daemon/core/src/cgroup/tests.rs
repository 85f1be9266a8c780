//! Recorded texts of both versions: a box with the first, one with the second, both at once, and containers.

use super::*;

/// Linux 6.18 with the first version for everything, and the second mounted beside it.
const ONE: (&str, &str) = (
    "9:name=systemd:/\n8:pids:/\n4:memory:/jobs/a b/7\n1:cpu,cpuacct:/\n0::/\n",
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
     32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
     35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:4 - cgroup cgroup rw,memory\n\
     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
);
/// Debian 12, a unit of systemd's.
const TWO: (&str, &str) = (
    "0::/system.slice/ghostllm.service\n",
    "24 30 0:22 / /proc rw,nosuid shared:13 - proc proc rw\n\
     29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
);
/// systemd's hybrid of before 2023: memory is the first version's.
const HYBRID: (&str, &str) = (
    "11:memory:/system.slice/ghostllm.service\n1:name=systemd:/system.slice/ghostllm.service\n0::/system.slice/ghostllm.service\n",
    "30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n40 24 0:36 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
);
/// Docker 24 on the second version, with a namespace of its own for groups.
const NAMESPACE: (&str, &str) =
    ("0::/\n", "1234 1220 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n");
/// Docker on the first version, without one: the mount begins at the container's own group.
const CONTAINER: (&str, &str) = (
    "5:memory:/docker/0123abcd\n0::/docker/0123abcd\n",
    "990 980 0:36 /docker/0123abcd /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
);
/// A mount whose root the path knows nothing of.
const FOREIGN: (&str, &str) =
    ("0::/../../user.slice\n", "990 980 0:36 /kubepods/pod\\0401 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");

fn directories((groups, mounts): (&str, &str)) -> (Version, Vec<String>) {
    let groups = Groups::of(groups, mounts).unwrap();
    (groups.version, groups.directories)
}

#[test]
fn the_groups_of_a_process_are_found_up_to_the_root() {
    let dirs = |list: &[&str]| list.iter().map(|&dir| dir.to_owned()).collect::<Vec<_>>();
    let memory = "/sys/fs/cgroup/memory";
    let below = |rest: &str| format!("{memory}{rest}");
    assert_eq!(
        directories(ONE),
        (Version::One, vec![below("/jobs/a b/7"), below("/jobs/a b"), below("/jobs"), memory.to_owned()])
    );
    assert_eq!(
        directories(TWO),
        (
            Version::Two,
            dirs(&[
                "/sys/fs/cgroup/system.slice/ghostllm.service",
                "/sys/fs/cgroup/system.slice",
                "/sys/fs/cgroup"
            ])
        )
    );
    assert_eq!(
        directories(HYBRID),
        (
            Version::One,
            vec![below("/system.slice/ghostllm.service"), below("/system.slice"), memory.to_owned()]
        )
    );
    assert_eq!(directories(NAMESPACE), (Version::Two, dirs(&["/sys/fs/cgroup"])));
    assert_eq!(directories(CONTAINER), (Version::One, dirs(&[memory])));
    assert_eq!(directories(FOREIGN), (Version::Two, dirs(&["/sys/fs/cgroup"])));
}

#[test]
fn where_no_hierarchy_for_memory_is_mounted_there_is_none() {
    assert_eq!(Groups::of("", ""), None);
    assert_eq!(Groups::of(TWO.0, ONE.1.lines().next().unwrap()), None);
    assert_eq!(Groups::of("4:memory:/\n", TWO.1), None, "the first version's, of which nothing is mounted");
    assert_eq!(Groups::of("nonsense\n::\n", "nonsense - \n - cgroup2"), None);
}

/// Recorded, but for their lengths.
const STAT_ONE: &str = "cache 52518912\nrss 114688\ninactive_file 4096\nhierarchical_memory_limit 134217728\n\
     total_cache 52518912\ntotal_inactive_file 52518912\ntotal_active_file 0\n";
const STAT_TWO: &str =
    "anon 12271616\nfile 3473408\ninactive_file 2506752\nactive_file 966656\nslab 512\nsock 4096\n";

#[test]
fn what_the_kernel_gives_back_by_itself_is_not_counted() {
    let of = |version, usage: &str, stat: &str| {
        Memory::of(version, 128 << 20, usage, reclaimable(version, stat).unwrap()).unwrap().used
    };
    assert_eq!(of(Version::One, "54542336\n", STAT_ONE), 54_542_336 - 52_518_912);
    assert_eq!(of(Version::Two, "17403904\n", STAT_TWO), 17_403_904 - 2_506_752 - 966_656);
    assert_eq!(of(Version::Two, "4096\n", STAT_TWO), 0, "the figures are not of one moment");
    assert_eq!([sockets(STAT_TWO), sockets(STAT_ONE)], [4096, 0]);
}

#[test]
fn a_model_s_weights_that_are_mapped_and_in_use_are_not_counted() {
    let one = "inactive_file 1\nactive_file 2\ntotal_inactive_file 4096\ntotal_active_file 8192\n";
    assert_eq!(reclaimable(Version::One, one), Ok(12_288));
    assert_eq!(reclaimable(Version::Two, "anon 1\ninactive_file 5\nactive_file 70\n"), Ok(75));
    assert_eq!(reclaimable(Version::Two, "inactive_file 5\n"), Ok(5), "the second may be missing");
}

#[test]
fn without_a_limit_there_is_nothing_to_be_near_to() {
    assert_eq!(limit([(Version::One.limit(), "9223372036854771712\n")]), Ok(None));
    assert_eq!(limit([(Version::Two.limit(), "max\n")]), Ok(None));
    assert_eq!(limit([]), Ok(None));
}

#[test]
fn the_smaller_of_two_limits_is_the_one_that_is_reached() {
    let of = |max, high| limit([(Version::Two.limit(), max), ("memory.high", high)]).unwrap();
    assert_eq!([of("134217728\n", "max\n"), of("max\n", "100663296\n")], [Some(128 << 20), Some(96 << 20)]);
    assert_eq!([of("134217728\n", "100663296\n"), of("4096\n", "8192\n")], [Some(96 << 20), Some(4096)]);
    assert_eq!([of("max\n", "max\n"), of("max\n", "0\n")], [None, Some(0)]);
    assert_eq!([Version::One.high(), Version::Two.high()], [None, Some("memory.high")]);
}

#[test]
fn what_is_no_number_is_told_with_its_file() {
    let unread = |file, text: &str| limit([(file, text)]).unwrap_err();
    assert_eq!(unread("memory.max", ""), Unread { file: "memory.max", text: String::new() });
    assert_eq!(unread("memory.high", "some").file, "memory.high");
    assert_eq!(unread("memory.max", &"x".repeat(500)).text.len(), 32);
    assert_eq!(Memory::of(Version::Two, 1, "-1", 0).unwrap_err().file, "memory.current");
    assert_eq!(reclaimable(Version::Two, "total_inactive_file 1\n").unwrap_err().file, "memory.stat");
}

#[test]
fn the_group_with_the_least_room_decides() {
    let memory = |limit, used| Memory { limit, used };
    let all = [memory(1000, 100), memory(100, 50), memory(10_000, 4999)];
    assert_eq!(Memory::nearest(all), Some(memory(100, 50)));
    assert_eq!(Memory::nearest([]), None);
    assert_eq!(memory(0, 0).percent(), 0);
    assert_eq!(memory(u64::MAX, u64::MAX).percent(), 100);
    assert_eq!(memory(1000, 300).below(80), 500);
    assert_eq!(memory(1000, 900).below(80), 0);
    assert_eq!(memory(128 << 20, 96 << 20).to_string(), "96.0 of 128.0 MiB (75 %)");
}

#[test]
fn a_bound_is_left_some_points_below_it() {
    let bounds = Bounds { short: 80, dire: 95 };
    let walk = [
        (799, Room::Enough),
        (800, Room::Short),
        (750, Room::Short),
        (749, Room::Enough),
        (799, Room::Enough),
        (949, Room::Short),
        (950, Room::Dire),
        (900, Room::Dire),
        (899, Room::Short),
        (1000, Room::Dire),
        (749, Room::Enough),
        (1000, Room::Dire),
    ];
    let mut room = Room::default();
    for (at, (used, expected)) in walk.into_iter().enumerate() {
        room = room.next(Memory { limit: 1000, used }, bounds);
        assert_eq!(room, expected, "step {at}");
    }
}
