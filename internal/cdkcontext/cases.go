package cdkcontext

// Cases are the fleets that stand for all, by name. Together they have every type of resource,
// with and without what is optional.
var Cases = map[string]Case{
	"default": {},
	"everything": {Changes: map[string]any{
		"stackName":           "Full",
		"clientCidrs":         []any{"198.51.100.0/24", "192.0.2.7/32", "2001:db8:1::/48"},
		"auth":                "any",
		"allowPlaintextBasic": true,
		"users":               []any{"alice", "bob", "c.d"},
		"realm":               "Squid Fleet (test)",
		"listenerPort":        40000.0,
		"idleTimeout":         "1h",
		"httpPorts":           []any{80.0, 8080.0},
		"connectPorts":        []any{443.0, 8443.0, 8444.0},
		"allowedDomains":      []any{".example.com", "example.org"},
		"blockedDomains":      []any{"private.example.com"},
		"blockedCidrs":        []any{"8.8.8.0/24"},
		"allowedPrivateCidrs": []any{"172.20.0.0/16"},
		"fleetSize":           2.0,
		"cpu":                 1024.0,
		"memory":              4096.0,
		"architecture":        "arm64",
		"spotShare":           50.0,
		"rotateEvery":         "1d",
		"drainTimeout":        "5m",
		"activeHours":         "mon-fri,sun 20:00-06:30",
		"vpcCidr":             "10.99.0.0/20",
		"logRetentionDays":    365.0,
		"metrics":             false,
		"dashboard":           false,
		"alarmEmail":          "ops@example.com",
		"timezone":            "Asia/Tokyo",
		"zones":               []any{"eu-west-1b", "eu-west-1c"},
		"tags":                []any{"team=crawlers", "cost centre=a=b"},
		// As the CDK CLI has it.
		"aws:cdk:enable-path-metadata": true,
	}},
	"imported": {Changes: map[string]any{
		"stackName": "Imported", "vpcId": VPC, "clientCidrs": []any{"198.51.100.0/24", "2001:db8:1::/48"},
		"fleetSize": 1.0,
	}},
	"zones": {Changes: map[string]any{
		"stackName": "Zones", "vpcId": WideVPC, "clientCidrs": []any{"198.51.100.0/24"}, "fleetSize": 1.0,
	}},
	"image": {Changes: map[string]any{
		"credentials": "image", "users": []any{"alice", "bob"}, "rotateEvery": "off", "fleetSize": 1.0,
	}},
	"spot": {Changes: map[string]any{
		"spotShare": 100.0, "fleetSize": 2.0, "addressPorts": false, "rotateEvery": "12h", "connectPorts": []any{},
		"digest": "squid",
	}},
	"tls": {Changes: map[string]any{
		"domainName": "proxy.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ", "fleetSize": 1.0,
		"clientCidrs": []any{"198.51.100.0/24", "2001:db8:1::/48"},
	}},
	"internal": {Changes: map[string]any{
		"stackName": "Internal", "vpcId": WideVPC, "endpoint": "internal", "fleetSize": 1.0,
		"clientCidrs": []any{"10.30.0.0/16"}, "clientSecurityGroups": []any{"sg-0123456789abcdef0"},
		"privateLinkPrincipals": []any{"arn:aws:iam::111122223333:root"},
		"certificateArn":        "arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
		"domainName":            "proxy.example.com",
	}},
	"ports": {Changes: map[string]any{"connectPorts": scattered(), "fleetSize": 1.0, "auth": "none"}},
	"govcloud": {Region: "us-gov-west-1", Changes: map[string]any{
		"stackName": "GovCloud", "vpcId": WideVPC, "clientCidrs": []any{"198.51.100.0/24"}, "fleetSize": 1.0,
	}},
	"china": {Region: "cn-north-1", Changes: map[string]any{
		"alarmTopicArn": "arn:aws-cn:sns:cn-north-1:123456789012:alarms",
		"stackName":     "China", "vpcId": WideVPC, "clientCidrs": []any{"198.51.100.0/24"}, "fleetSize": 1.0,
	}},
}

// scattered returns more ports than a security group has room for ranges.
func scattered() (ports []any) {
	for i := range 52 {
		ports = append(ports, float64(2000+2*i))
	}
	return ports
}
