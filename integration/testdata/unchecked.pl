# A helper for Squid's external_acl_type that checks nothing. It asks for credentials once.
$| = 1;
while (<STDIN>) {
    my ($id) = /^(\d+) / or next;
    print / - *$/
        ? qq($id ERR md5_="Digest realm=\\"unchecked\\", nonce=\\"n\\", algorithm=MD5, qop=\\"auth\\""\n)
        : "$id OK user=alice\n";
}
