$| = 1;
my $root = "1.3.6.1.2.1.17";
sub rows {
    my %rows; my %number;
    for (`ip -d -o link show master br0`) {
        my ($index, $name, $port) = /^(\d+): ([^\@:]+).* port_no 0x(\w+)/ or next;
        $number{$name} = hex $port;
        $rows{"$root.1.4.1.2.$number{$name}"} = $index;
    }
    for (`bridge fdb show br br0`) {
        next if /permanent|self/;
        my ($mac, $name) = /^(\S+) dev (\S+)/ or next;
        my $behind = "1." . join ".", map { hex } split /:/, $mac;
        $rows{"$root.7.1.2.2.1.2.$behind"} = $number{$name} // 0;
        $rows{"$root.7.1.2.2.1.3.$behind"} = 3;
    }
    return %rows;
}
sub order { join "", map { sprintf "%010d", $_ } split /\./, shift }
while (my $line = <STDIN>) {
    chomp $line;
    if ($line eq "PING") { print "PONG\n"; next }
    chomp(my $asked = <STDIN>);
    $asked =~ s/^\.//;
    if ($line eq "set") { <STDIN>; print "not-writable\n"; next }
    my %rows = rows();
    my $found = $asked;
    if ($line eq "getnext") {
        ($found) = sort { order($a) cmp order($b) } grep { order($_) gt order($asked) } keys %rows;
    }
    if (defined $found && exists $rows{$found}) { print ".$found\ninteger\n$rows{$found}\n" } else { print "NONE\n" }
}
