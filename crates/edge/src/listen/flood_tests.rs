use proptest::prelude::*;

use super::*;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short one");
    let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    bytes.extend_from_slice(payload);
    bytes
}

fn begun() -> Frames {
    let mut frames = Frames::new();
    frames.receive(PREFACE).expect("the preface is no frame");
    frames.receive(&frame(4, 0, 0, &[])).expect("SETTINGS follow it");
    frames
}

fn until_flood(frames: &mut Frames, bytes: &[u8]) -> usize {
    (0..10_000).take_while(|_| frames.receive(bytes).is_ok()).count()
}

#[test]
fn each_kind_of_steering_without_work_is_a_flood() {
    let floods = [
        frame(4, 0, 0, &[]),
        frame(6, 0, 0, &[0; 8]),
        frame(2, 0, 3, &[0; 5]),
        frame(8, 0, 0, &[0, 0, 0, 1]),
        frame(0, 0, 1, &[]),
        frame(3, 0, 1, &[0, 0, 0, 8]),
        frame(0x42, 0, 0, &[]),
    ];
    for bytes in floods {
        let count = until_flood(&mut begun(), &bytes);
        assert!((199..300).contains(&count), "{bytes:?}: {count}");
    }
}

#[test]
fn requests_and_content_are_none() {
    for bytes in [frame(1, 5, 1, &[0; 20]), frame(0, 0, 1, &[0; 5]), frame(0, 1, 1, &[])] {
        assert_eq!(until_flood(&mut begun(), &bytes), 10_000, "{bytes:?}");
    }
}

#[test]
fn answers_pay_for_steering_and_answers_to_pings_do_not() {
    let update = frame(8, 0, 1, &[0, 0, 0, 1]);
    let mut frames = begun();
    for _ in 0..5_000 {
        frames.send(&frame(0, 0, 1, &[0; 50]));
        frames.receive(&update).and_then(|()| frames.receive(&update)).expect("it is paid for");
    }
    let ping = frame(6, 0, 0, &[0; 8]);
    let mut frames = begun();
    let flood = (0..10_000).position(|_| {
        frames.send(&frame(6, 1, 0, &[0; 8]));
        frames.receive(&ping).is_err()
    });
    assert!(flood.is_some());
}

#[test]
fn the_error_code_of_our_goaway_is_seen() {
    let mut frames = begun();
    frames.receive(&frame(1, 5, 7, &[])).expect("a request");
    let goaway = frames.goaway_frame(ENHANCE_YOUR_CALM);
    assert_eq!(goaway, [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 11]);
    let (first, rest) = goaway.split_at(12);
    frames.send(first);
    assert_eq!(frames.goaway(), None);
    frames.send(rest);
    assert_eq!(frames.goaway(), Some(ENHANCE_YOUR_CALM));
}

proptest! {
    #[test]
    fn the_count_does_not_depend_on_the_cut(cuts in prop::collection::vec(1_usize..40, 1..200)) {
        let stream = [frame(6, 0, 0, &[0; 8]), frame(0, 0, 1, &[7; 90]), frame(7, 0, 0, &[1; 20])]
            .concat()
            .repeat(30);
        let mut scanner = Scanner::after(0);
        let (mut rest, mut found) = (&stream[..], 0);
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            scanner.scan(now, |frame| {
                found += 1;
                assert!(matches!(frame.kind, 0 | 6 | 7));
            });
            rest = later;
        }
        scanner.scan(rest, |_| found += 1);
        prop_assert_eq!(found, 90);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let mut frames = begun();
        let _flood_or_not = frames.receive(&bytes);
        frames.send(&bytes);
    }
}

#[test]
fn wrong_sizes_and_values_have_codes_of_their_own() {
    for (bytes, code) in [
        (frame(3, 0, 1, &[0; 3]), FRAME_SIZE_ERROR),
        (frame(4, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        (frame(4, ACK, 0, &[0; 6]), FRAME_SIZE_ERROR),
        (frame(6, 0, 0, &[0; 9]), FRAME_SIZE_ERROR),
        (frame(8, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        (frame(4, 0, 0, &[0, 3, 0, 0, 0, 9, 0, 4, 0x80, 0, 0, 0]), FLOW_CONTROL_ERROR),
    ] {
        let mut frames = begun();
        let (first, rest) = bytes.split_at(4);
        let verdict = frames.receive(first).and_then(|()| frames.receive(rest));
        assert_eq!(verdict, Err(Fault(code)), "{bytes:?}");
    }
    let mut frames = Frames::new();
    frames.receive(PREFACE).expect("the preface is no frame");
    assert_eq!(frames.receive(&frame(6, 0, 0, &[0; 8])), Err(Fault(PROTOCOL_ERROR)));
}
