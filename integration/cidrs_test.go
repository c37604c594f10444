package integration

import (
	"net/http"
	"net/netip"
	"testing"
)

// The blocks that the VPC and the operator forbid, or the operator opens, are exact to their first
// and last address.
func TestWhatIsAddedAndOpenedIsExact(t *testing.T) {
	inModes(t, modes, func(t *testing.T, m mode) {
		w := newWorld(t)
		o := options(m.with(map[string]any{
			"blockedCidrs":        "151.101.1.69/32,2a00:1450:4001::/48,10.40.50.128/25",
			"allowedPrivateCidrs": "172.20.30.0/24,192.168.7.7/32,10.40.0.0/16,fd12:3456:789a::/48,fc00:1::/32",
		}))
		// A VPC may have public addresses of its owner.
		o.Network.VpcCidrs = prefixes("10.0.0.0/16", "54.10.0.0/16", "2600:1f16:1::/56")
		task := startTask(t, o)
		var all []cell
		open := func(a netip.Addr) {
			w.opened = append(w.opened, netip.AddrPortFrom(a, 80), netip.AddrPortFrom(a, 443))
		}
		add := func(host string, status int) {
			if a, err := netip.ParseAddr(host); err == nil {
				host = bracketed(a)
				if status == served {
					open(a)
				}
			}
			all = append(all,
				cell{alice, "GET", "http://" + host + "/", status}, cell{alice, "CONNECT", host + ":443", status})
		}
		for _, b := range []struct {
			before, first, last, after string
			inside, around             int
		}{
			// the VPC's
			{"54.9.255.255", "54.10.0.0", "54.10.255.255", "54.11.0.0", refused, served},
			{"2600:1f16:0:ffff:ffff:ffff:ffff:ffff", "2600:1f16:1::",
				"2600:1f16:1:ff:ffff:ffff:ffff:ffff", "2600:1f16:1:100::", refused, served},
			// blocked
			{"151.101.1.68", "151.101.1.69", "151.101.1.69", "151.101.1.70", refused, served},
			{"2a00:1450:4000:ffff:ffff:ffff:ffff:ffff", "2a00:1450:4001::",
				"2a00:1450:4001:ffff:ffff:ffff:ffff:ffff", "2a00:1450:4002::", refused, served},
			{"10.40.50.127", "10.40.50.128", "10.40.50.255", "10.40.51.0", refused, served}, // inside an opened block
			// opened
			{"172.20.29.255", "172.20.30.0", "172.20.30.255", "172.20.31.0", served, refused},
			{"192.168.7.6", "192.168.7.7", "192.168.7.7", "192.168.7.8", served, refused},
			{"10.39.255.255", "10.40.0.0", "10.40.255.255", "10.41.0.0", served, refused},
			{"fd12:3456:7899:ffff:ffff:ffff:ffff:ffff", "fd12:3456:789a::",
				"fd12:3456:789a:ffff:ffff:ffff:ffff:ffff", "fd12:3456:789b::", served, refused},
			{"fc00:0:ffff:ffff:ffff:ffff:ffff:ffff", "fc00:1::",
				"fc00:1:ffff:ffff:ffff:ffff:ffff:ffff", "fc00:2::", served, refused},
		} {
			for _, host := range []string{b.first, b.last} {
				add(host, b.inside)
			}
			for _, host := range []string{b.before, b.after} {
				add(host, b.around)
			}
		}
		// Other spellings of them.
		for _, host := range []string{
			"[::ffff:54.10.1.1]", "0x360a0101", "[::ffff:151.101.1.69]", "151.101.325",
			"[::ffff:172.20.31.0]", "[::172.20.30.1]", "[64:ff9b::172.20.30.1]", "[2002:ac14:1e01::]",
		} {
			add(host, refused)
		}
		// One forbidden address of a name is enough, even if others are opened.
		for name, d := range map[string]struct {
			status    int
			addresses []string
		}{
			"opened":                  {served, []string{"172.20.30.5"}},
			"opened-public":           {served, []string{"172.20.30.5", "93.184.215.14"}},
			"opened-opened":           {served, []string{"172.20.30.5", "fd12:3456:789a::5"}},
			"opened-forbidden":        {refused, []string{"172.20.30.5", "172.20.31.5"}},
			"forbidden-opened":        {refused, []string{"172.20.31.5", "172.20.30.5"}},
			"opened-forbidden6":       {refused, []string{"172.20.30.5", "fd12:3456:789b::5"}},
			"opened6-forbidden":       {refused, []string{"fd12:3456:789a::5", "10.0.0.1"}},
			"opened-metadata":         {refused, []string{"172.20.30.5", "169.254.169.254"}},
			"opened-loopback":         {refused, []string{"172.20.30.5", "127.0.0.1"}},
			"opened-blocked":          {refused, []string{"10.40.50.1", "10.40.50.130"}},
			"opened-vpc":              {refused, []string{"172.20.30.5", "54.10.1.1"}},
			"public-vpc":              {refused, []string{"93.184.215.14", "54.10.1.1"}},
			"public-vpc6":             {refused, []string{"93.184.215.14", "2600:1f16:1::5"}},
			"public-blocked":          {refused, []string{"93.184.215.14", "151.101.1.69"}},
			"blocked6-public":         {refused, []string{"2a00:1450:4001::1", "93.184.215.14"}},
			"public-blocked-in-opend": {refused, []string{"93.184.215.14", "10.40.50.200"}},
		} {
			w.names.Set(name+".cidrs.example", d.addresses...)
			for _, text := range d.addresses {
				if d.status == served {
					open(netip.MustParseAddr(text))
				}
			}
			add(name+".cidrs.example", d.status)
		}
		for _, c := range all {
			w.run(t.Errorf, task, c)
		}
		w.checkEver(t)
	})
}

// Squid's own names for whole families do not hold all addresses (see squid.addresses).
func TestAWholeFamilyIsAWholeFamily(t *testing.T) {
	w := newWorld(t)
	for blocked, want := range map[string]map[string]int{
		"::/0": {"origin.example": served, "v6.example": refused, "dual.example": refused,
			"[::ffff:93.184.215.14]": served},
		"0.0.0.0/1,::/0": {"origin.example": refused, "v6.example": refused, "dual.example": refused,
			"151.101.1.69": served, "[::ffff:151.101.1.69]": served},
	} {
		task := startTask(t, options(map[string]any{"blockedCidrs": blocked}))
		for _, never := range []string{
			"127.0.0.1", "169.254.169.254", "10.9.8.7", "[::1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]",
			"[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]", "[f000::1]",
		} {
			want[never] = refused
		}
		for host, status := range want {
			if !w.run(t.Errorf, task, cell{alice, "GET", "http://" + host + "/", status}) {
				t.Error("that was with blockedCidrs ", blocked)
			}
		}
		task.Kill()
	}
	from4, from6 := alice, people[0]
	for clients, want := range map[string]map[string]int{
		"0.0.0.0/0":      {from4.name: served, from6.name: cutOff},
		"::/0":           {from4.name: cutOff, from6.name: served},
		"0.0.0.0/0,::/0": {from4.name: served, from6.name: served},
	} {
		task := startTask(t, options(map[string]any{"clientCidrs": clients, "allowAnyClient": true}))
		for _, who := range []person{from4, from6} {
			if !w.run(t.Errorf, task, cell{who, "GET", "http://origin.example/", want[who.name]}) {
				t.Error("that was with clientCidrs ", clients)
			}
		}
		task.Kill()
	}
	w.checkEver(t)
}

// The security group of a task in an existing VPC lets no IPv6 out. Squid does not wait for it.
func TestInAnExistingVPCTasksUseIPv4Alone(t *testing.T) {
	w := newWorld(t)
	task := startTask(t, options(map[string]any{"vpcId": "vpc-12345678"}))
	for host, status := range map[string]int{
		"origin.example": served, "dual.example": served, "v6.example": http.StatusServiceUnavailable,
		"[" + publicIPv6.String() + "]": http.StatusServiceUnavailable,
	} {
		w.run(t.Errorf, task, cell{alice, "GET", "http://" + host + "/", status})
	}
	w.checkEver(t)
}
