package standin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What vpcId, hostedZoneId and certificateArn may name.
const (
	VPC         = "vpc-0a1b2c3d4e5f60718"
	Zone        = "Z0123456789ABCDEFGHIJ"
	Certificate = "arn:aws:acm:" + Region + ":" + account + ":certificate/01234567-89ab-cdef-0123-456789abcdef"
)

// model is what the account has, besides services and tasks. Set knows the members of the first
// three by their names.
type model struct {
	words  map[string]string
	lists  map[string][]string
	tables map[string]properties

	subnets    []properties // of the VPC; the second one has no route table of its own
	entries    []properties // of the VPC's only network ACL
	alarms     []any
	undeployed bool
	portless   bool // addresses have no ports
	log        []event
	flood      func(i int) event // a log that is too long to be kept, instead
	flooded    int               // its length
}

type properties map[string]string

// newModel has all that a fleet needs.
func newModel() model {
	m := model{
		words: map[string]string{
			"stack-status": "UPDATE_COMPLETE", "users": "alice,bob", "credentials": "secretsmanager", "auth": "digest",
			"rotate-every": "6h", "failed-rotations": "0", "template": "{}", "region": Region, "dual-stack": "disabled",
			"bootstrap": "30", // its version, or none
			"password":  "",   // everybody's; "" for each one's own
			"tls-name":  "",   // the fleet's own name; "" without TLS
			"base":      "",   // named by the container's label; "" for no label
			// NAME=ID, with /STATE unless it is available
			"zones": "eu-west-1b=euw1-az2 eu-west-1a=euw1-az1 eu-west-1c=euw1-az3",
			// the status and the names
			"certificate": "ISSUED proxy.example.com *.proxy.example.com",
		},
		lists: map[string][]string{"without-output": nil, "no-role": nil, "no-price": nil},
		tables: map[string]properties{
			"quota":  {"L-3032A538": "4000"},
			"used":   {"vpcs": "3", "internet-gateways": "3", "load-balancers": "3"},
			"secret": {},
			"zone":   {"name": "example.com.", "private": "false"}, // the only hosted zone
		},
	}
	for i, name := range []string{"a", "b", "c"} {
		m.subnets = append(m.subnets, properties{
			"id": "subnet-" + name, "zone": Region + name, "zone-id": "euw1-az" + strconv.Itoa(i+1),
			"cidr": fmt.Sprintf("10.1.%d.0/24", i), "free": "251", "gateway": "igw-1", "state": "active",
			"ipv6": "associated", "gateway6": "igw-1",
		})
	}
	m.subnets[2]["gateway"] = "nat-1"
	for _, direction := range []string{"in", "out"} {
		for _, cidr := range []string{"0.0.0.0/0", "::/0"} {
			m.entry(direction, "32767", "deny", "-1", "", cidr)
			m.entry(direction, "100", "allow", "-1", "", cidr)
		}
	}
	return m
}

func (m *model) entry(direction, number, action, protocol, ports, cidr string) {
	m.entries = append(m.entries, properties{
		"direction": direction, "number": number, "action": action, "protocol": protocol, "ports": ports, "cidr": cidr,
	})
}

func (m *model) users() []string { return strings.Split(m.words["users"], ",") }

// Set changes the fleet, or what is around it. The changes are words, so that test scripts can name
// them. N is a number of addresses, or that of one.
//
//	addresses N, stopped N, rotate-every PERIOD, no-address-ports, full-pages,
//	users NAME,NAME…, password TEXT, credentials image, auth AUTH, tls-name NAME,
//	base IMAGE, stack-status STATUS, without-output ID,
//	unhealthy ADDRESS, spot ADDRESS, stopping ADDRESS, never-healthy, healthy-again,
//	rotation-fails N [forgotten], rotating N [now], failed-rotations MESSAGES, deployed N STATUS AGO
//	region REGION, not-deployed, bootstrap VERSION, no-role NAME, zones NAME=ID[/STATE]…,
//	quota CODE VALUE, used THINGS N, dual-stack VALUE, subnet ID KEY VALUE, template TEXT,
//	acl in|out NUMBER allow|deny PROTOCOL FIRST-LAST CIDR, secret ID gone|deleted|empty,
//	zone KEY VALUE, certificate STATUS NAME…, no-price USAGE-TYPE, alarm NAME STATE MEANING
func (a *AWS) Set(change string, arguments ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, argument := &a.model, strings.Join(arguments, " ")
	if _, known := m.words[change]; known {
		m.words[change] = argument
		return nil
	}
	if _, known := m.lists[change]; known {
		m.lists[change] = append(m.lists[change], argument)
		return nil
	}
	if table, known := m.tables[change]; known {
		table[arguments[0]] = arguments[1]
		return nil
	}
	// What a change is about: a number of addresses, the address with that number, or its task.
	first := append(arguments, "")[0]
	n, _ := strconv.Atoi(first)
	var s *service
	if n > 0 && n <= len(a.fleet.services) {
		s = a.fleet.services[n-1]
	}
	t := a.fleet.find(func(t *task) bool { return t.public() == first })
	switch change {
	case "not-deployed":
		m.undeployed = true
	case "no-address-ports":
		m.portless = true
	case "full-pages":
		a.pageSize = 100
	case "never-healthy", "healthy-again":
		a.fleet.neverHealthy = change == "never-healthy"
	case "subnet":
		i := slices.IndexFunc(m.subnets, func(p properties) bool { return p["id"] == first })
		m.subnets[i][arguments[1]] = arguments[2]
	case "acl":
		m.entry(first, arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
	case "alarm":
		m.alarms = append(m.alarms, object{
			"AlarmName": first, "StateValue": arguments[1], "AlarmDescription": arguments[2],
			"StateTransitionedTimestamp": someTime,
		})
	case "unhealthy":
		t.target = "unhealthy"
	case "spot":
		t.spot = true
	case "stopping":
		t.stop()
	case "addresses":
		a.fleet.resize(n)
	case "stopped":
		s.desired, s.tasks = 0, nil
	case "rotation-fails":
		s.fails, s.forgets = true, len(arguments) > 1
	case "rotating":
		at := someTime
		if len(arguments) > 1 {
			at = time.Now()
		}
		s.deploy(at)
	case "deployed":
		ago, err := time.ParseDuration(arguments[2])
		s.history = append(s.history, deployment{state: arguments[1], created: time.Now().Add(-ago)})
		return err
	default:
		return fmt.Errorf("no change is called %q", change)
	}
	return nil
}

var someTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// Desired returns the services' desired counts.
func (a *AWS) Desired() (counts []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.fleet.services {
		counts = append(counts, s.desired)
	}
	return counts
}
