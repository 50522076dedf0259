# One notice of each kind and subject, and none when the trouble is over.
> notice foreign-dhcp 02:ff:00:00:00:01
> notice foreign-dhcp 02:ff:00:00:00:01
> notice foreign-dhcp 02:ff:00:00:00:02
> notice foreign-router 02:ff:00:00:00:01
? notices 3
> notice malformed dhcp 1
> notice malformed dhcp 9
> notice malformed tftp 1
? notices 5
> notice merged 1
> notice merged 2
? notices 6
> notice ledger-full
> notice ledger-full
? notices 7
> notice ledger-well
? notices 6

# Who was heard says more than who was named; a controller says more than a server.
> notice foreign-choice 02:ff:00:00:00:07
> notice foreign-choice 02:ff:00:00:00:08
? notices 7
> notice foreign-dhcp 02:ff:00:00:00:03
? notices 7
> notice other-controller 02:ff:00:00:00:03
? notices 7
> notice flooding 02:ff:00:00:00:04 1
> notice flooding 02:ff:00:00:00:04 1000
> notice loader-missing 11
> notice loader-missing 11
? notices 9
# A clock that is set twice is one trouble, with its latest size.
> notice clock-stepped 3600
> notice clock-stepped -20
? notices 10

# Over IPv6 as over IPv4: one server is one trouble, named by itself or by who follows it.
> notice foreign-choice6 02:ff:00:00:00:07 0001
> notice foreign-choice6 02:ff:00:00:00:08 0001
> notice foreign-choice6 02:ff:00:00:00:08 0002
? notices 12
> notice foreign-dhcp6 02:ff:00:00:00:09
> notice foreign-dhcp6 02:ff:00:00:00:09
? notices 12
