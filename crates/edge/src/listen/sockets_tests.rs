use super::*;

fn local() -> Listener {
    let address = "127.0.0.1:0".parse().expect("an address");
    Listener { place: Place::Tcp(address), protocol: Protocol::Plain }
}

fn at(path: &Path) -> Listener {
    Listener { place: Place::Unix(path.to_owned()), protocol: Protocol::Plain }
}

fn bind(
    listeners: &[Listener],
    cores: usize,
    keep: Option<&Sockets>,
) -> Result<Sockets, BindError> {
    Sockets::bind(listeners, cores, &Inherited::default(), keep)
}

#[test]
fn every_core_has_a_socket_of_the_same_port() {
    let sockets = bind(&[local()], 3, None).expect("a free port");
    let Place::Tcp(real) = sockets.addresses()[0].place else { panic!("it is TCP") };
    assert_ne!(real.port(), 0);
    for core in 0..3 {
        let Door::Tcp(listener) = sockets.bound()[0].take(core) else { panic!("core {core}") };
        assert_eq!(listener.local_addr().expect("bound"), real);
        assert!(matches!(sockets.bound()[0].take(core), Door::Taken), "only once");
    }
}

#[test]
fn a_port_in_use_is_told_even_if_it_may_be_shared() {
    let sockets = bind(&[local()], 1, None).expect("a free port");
    let taken = sockets.addresses();
    let error = bind(&taken, 1, None).expect_err("it is in use");
    let Place::Tcp(address) = taken[0].place else { panic!("it is TCP") };
    assert_eq!(error.to_string(), format!("cannot listen on `{address}`"));
    assert!(error.hint().contains(&format!("sport = :{}", address.port())), "{}", error.hint());
}

#[test]
fn ipv4_and_ipv6_of_one_port_stand_side_by_side() {
    let sockets = bind(&[local()], 1, None).expect("a free port");
    let Place::Tcp(address) = sockets.addresses()[0].place else { panic!("it is TCP") };
    let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, address.port()));
    let listener = Listener { place: Place::Tcp(any), protocol: Protocol::Plain };
    bind(&[listener], 1, None).expect("IPv6 only does not collide with IPv4");
}

#[test]
fn a_reload_keeps_what_stays() {
    let first = bind(&[local()], 1, None).expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let listeners = [local(), at(&folder.path().join("socket"))];
    let second = bind(&listeners, 1, Some(&first)).expect("bound");
    assert!(Arc::ptr_eq(&first.bound()[0], &second.bound()[0]));
    assert_eq!(second.addresses().len(), 2);
    let tls = Listener { protocol: Protocol::Tls, ..local() };
    let third = bind(&[tls], 1, Some(&second)).expect("the old ones do not stand in the way");
    assert_eq!(third.addresses()[0].place, second.addresses()[0].place);
    assert_eq!(third.addresses()[0].protocol, Protocol::Tls);
}

#[test]
fn a_unix_socket_replaces_a_dead_one_only_and_goes_with_its_listener() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).expect("bound"));
    assert!(path.exists(), "a dead process leaves its file");
    let sockets = bind(&[at(&path)], 2, None).expect("the dead one is replaced");
    let error = bind(&[at(&path)], 2, None).expect_err("a living one is not");
    assert!(error.hint().contains("ss -lxp"), "{}", error.hint());
    drop(sockets);
    assert!(!path.exists());
    std::fs::write(&path, "a file of somebody").expect("written");
    bind(&[at(&path)], 1, None).expect_err("a file is no socket");
    assert!(path.exists(), "it is not ours to remove");
}
