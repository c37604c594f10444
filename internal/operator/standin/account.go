package standin

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"squidfleet/internal/awsapi"
)

// What vpcId, hostedZoneId and certificateArn may name.
const (
	VPC         = "vpc-0a1b2c3d4e5f60718"
	Zone        = "Z0123456789ABCDEFGHIJ"
	Certificate = "arn:aws:acm:" + Region + ":" + account + ":certificate/01234567-89ab-cdef-0123-456789abcdef"
)

// surroundings are the model of what the account has besides the fleet.
type surroundings struct {
	region     string
	undeployed bool
	bootstrap  string   // its version; "" if there is none
	noRoles    []string // names of service-linked roles
	zones      []string // NAME=ID, with /STATE unless it is available
	quotas     map[string]float64
	used       map[string]int
	dualStack  string
	subnets    []properties // of the VPC; the second one has no route table of its own
	entries    []properties // of the VPC's only network ACL
	secrets    map[string]string
	groups     []string            // security groups of the VPC
	zone       properties          // the only hosted zone
	issued     map[string][]string // status and names of the certificates in the region
	template   string
	unpriced   []string // usage types that the price list does not have
	flood      *flood   // a log instead of the fleet's
	alarms     []any
}

type properties map[string]string

// newSurroundings have all that a fleet needs.
func newSurroundings() surroundings {
	s := surroundings{
		region: Region, bootstrap: "30", template: "{}", dualStack: "disabled", secrets: map[string]string{},
		zones:  []string{Region + "b=euw1-az2", Region + "a=euw1-az1", Region + "c=euw1-az3"},
		quotas: map[string]float64{"L-3032A538": 4000},
		used:   map[string]int{"vpcs": 3, "internet-gateways": 3, "load-balancers": 3},
	}
	s.groups = []string{"sg-0a1b2c3d", "sg-1a2b3c4d", "sg-2a3b4c5d"}
	s.zone = properties{"id": Zone, "name": "example.com.", "private": "false"}
	s.issued = map[string][]string{Certificate: {"ISSUED", "proxy.example.com", "*.proxy.example.com"}}
	for i, name := range []string{"a", "b", "c"} {
		s.subnets = append(s.subnets, properties{
			"id": "subnet-" + name, "zone": Region + name, "zone-id": "euw1-az" + strconv.Itoa(i+1),
			"cidr": fmt.Sprintf("10.1.%d.0/24", i), "free": "251", "gateway": "igw-1", "state": "active",
			"ipv6": "associated", "gateway6": "igw-1",
		})
	}
	s.subnets[2]["gateway"] = "nat-1"
	for _, direction := range []string{"in", "out"} {
		for _, cidr := range []string{"0.0.0.0/0", "::/0"} {
			s.entry(direction, "32767", "deny", "-1", "", cidr)
			s.entry(direction, "100", "allow", "-1", "", cidr)
		}
	}
	return s
}

func (s *surroundings) entry(direction, number, action, protocol, ports, cidr string) {
	s.entries = append(s.entries, properties{
		"direction": direction, "number": number, "action": action, "protocol": protocol, "ports": ports, "cidr": cidr,
	})
}

// set is Set for what is around the fleet:
//
//	region REGION, not-deployed, bootstrap VERSION, no-role NAME, zones NAME=ID[/STATE]…,
//	quota CODE VALUE, used THINGS N, dual-stack VALUE, subnet ID KEY VALUE, template TEXT,
//	acl in|out NUMBER allow|deny PROTOCOL FIRST-LAST CIDR, secret ID gone|deleted|empty,
//	zone KEY VALUE, certificate STATUS NAME…, no-price USAGE-TYPE, alarm NAME STATE MEANING
func (s *surroundings) set(change string, arguments []string) (err error) {
	switch change {
	case "region":
		s.region = arguments[0]
	case "not-deployed":
		s.undeployed = true
	case "bootstrap":
		s.bootstrap = arguments[0]
	case "no-role":
		s.noRoles = append(s.noRoles, arguments[0])
	case "zones":
		s.zones = arguments
	case "quota":
		s.quotas[arguments[0]], err = strconv.ParseFloat(arguments[1], 64)
	case "used":
		s.used[arguments[0]], err = strconv.Atoi(arguments[1])
	case "dual-stack":
		s.dualStack = arguments[0]
	case "subnet":
		i := slices.IndexFunc(s.subnets, func(p properties) bool { return p["id"] == arguments[0] })
		s.subnets[i][arguments[1]] = arguments[2]
	case "acl":
		s.entry(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
	case "zone":
		s.zone[arguments[0]] = arguments[1]
	case "certificate":
		s.issued[Certificate] = arguments
	case "secret":
		s.secrets[arguments[0]] = arguments[1]
	case "no-price":
		s.unpriced = append(s.unpriced, arguments[0])
	case "alarm":
		s.alarms = append(s.alarms, object{
			"AlarmName": arguments[0], "StateValue": arguments[1], "AlarmDescription": arguments[2],
			"StateTransitionedTimestamp": time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		})
	case "template":
		s.template = arguments[0]
	default:
		err = fmt.Errorf("no change is called %q", change)
	}
	return err
}

// node is an element of an answer in XML.
type node struct {
	XMLName  xml.Name
	Text     string `xml:",chardata"`
	Children []node
}

func text(name, value string) node { return node{XMLName: xml.Name{Local: name}, Text: value} }

func group(name string, children ...node) node {
	return node{XMLName: xml.Name{Local: name}, Children: children}
}

// paged is an answer with a page of a list.
func paged[T any](a *AWS, r *request, token, next, list, member string, all []T, each func(T) []node) (any, error) {
	page, rest, err := a.pageOf(len(all), r.Text(token))
	var members []node
	for _, one := range all[page.from:page.to] {
		members = append(members, group(member, each(one)...))
	}
	answer := group("", group(list, members...))
	if rest != "" {
		answer.Children = append(answer.Children, text(next, rest))
	}
	return answer, err
}

// ofEC2 is an answer of EC2's with a page of a list.
func ofEC2[T any](a *AWS, r *request, list string, all []T, each func(T) []node) (any, error) {
	return paged(a, r, "NextToken", "nextToken", list, "item", all, each)
}

// inVPC is ofEC2 for what is in the VPC.
func (a *AWS) inVPC(r *request, list string, all []properties, each func(properties) []node) (any, error) {
	if r.Text("Filter.1.Name") != "vpc-id" {
		return nil, refuse("InvalidParameterValue", "The filter '%s' is invalid", r.Text("Filter.1.Name"))
	}
	if r.Text("Filter.1.Value.1") != VPC {
		all = nil
	}
	return ofEC2(a, r, list, all, each)
}

func (a *AWS) getCallerIdentity(*request) (any, error) {
	return group("", text("Account", account), text("Arn", "arn:aws:iam::"+account+":user/olga")), nil
}

func (a *AWS) getParameter(r *request) (any, error) {
	if r.Input["Name"] != "/cdk-bootstrap/hnb659fds/version" || a.around.bootstrap == "none" {
		return nil, refuse("ParameterNotFound", "")
	}
	return object{"Parameter": object{"Name": r.Input["Name"], "Type": "String", "Value": a.around.bootstrap}}, nil
}

func (a *AWS) getRole(r *request) (any, error) {
	name := r.Text("RoleName")
	if !strings.HasPrefix(name, "AWSServiceRoleFor") || slices.Contains(a.around.noRoles, name) {
		return nil, &awsapi.Error{
			Code: "NoSuchEntity", Message: "The role with name " + name + " cannot be found.",
			Status: http.StatusNotFound,
		}
	}
	return group("", group("Role", text("RoleName", name))), nil
}

// quotaDefaults are those of AWS, by service and code.
var quotaDefaults = map[string]float64{
	"fargate L-3032A538": 6, "fargate L-36FBB829": 6, "elasticloadbalancing L-69A177A2": 50, "vpc L-F678F1CE": 5,
	"vpc L-A4707A72": 5, "vpc L-0EA8095F": 60,
}

func (a *AWS) getServiceQuota(r *request) (any, error) {
	if value, own := a.around.quotas[r.Text("QuotaCode")]; own {
		return object{"Quota": object{"QuotaCode": r.Input["QuotaCode"], "Value": value}}, nil
	}
	return nil, refuse("NoSuchResourceException", "The specified resource does not exist.")
}

func (a *AWS) getDefaultServiceQuota(r *request) (any, error) {
	if value, known := quotaDefaults[r.Text("ServiceCode")+" "+r.Text("QuotaCode")]; known {
		return object{"Quota": object{"QuotaCode": r.Input["QuotaCode"], "Value": value}}, nil
	}
	return nil, refuse("NoSuchResourceException", "The specified resource does not exist.")
}

func (a *AWS) describeAvailabilityZones(r *request) (any, error) {
	if r.Text("Filter.1.Name") != "zone-type" || r.Text("Filter.1.Value.1") != "availability-zone" {
		a.problem("ec2:DescribeAvailabilityZones would list local zones")
	}
	var zones []node
	for _, zone := range a.around.zones {
		zone, state, given := strings.Cut(zone, "/")
		if !given {
			state = "available"
		}
		name, id, _ := strings.Cut(zone, "=")
		zones = append(zones, group("item", text("zoneName", name), text("zoneId", id), text("zoneState", state)))
	}
	return group("", group("availabilityZoneInfo", zones...)), nil
}

func (a *AWS) describeVpcs(r *request) (any, error) {
	return ofEC2(a, r, "vpcSet", make([]int, a.around.used["vpcs"]), func(int) []node { return nil })
}

func (a *AWS) describeInternetGateways(r *request) (any, error) {
	return ofEC2(a, r, "internetGatewaySet", make([]int, a.around.used["internet-gateways"]),
		func(int) []node { return nil })
}

// describeLoadBalancers answers with an Application Load Balancer and all the network ones.
func (a *AWS) describeLoadBalancers(r *request) (any, error) {
	types := append([]string{"application"}, slices.Repeat([]string{"network"}, a.around.used["load-balancers"])...)
	return paged(a, r, "Marker", "NextMarker", "LoadBalancers", "member", types,
		func(t string) []node { return []node{text("Type", t)} })
}

func (a *AWS) describeSubnets(r *request) (any, error) {
	return a.inVPC(r, "subnetSet", a.around.subnets, func(s properties) []node {
		return []node{
			text("subnetId", s["id"]), text("availabilityZone", s["zone"]), text("availabilityZoneId", s["zone-id"]),
			text("cidrBlock", s["cidr"]), text("availableIpAddressCount", s["free"]),
			group("ipv6CidrBlockAssociationSet",
				group("item", group("ipv6CidrBlockState", text("state", s["ipv6"])))),
		}
	})
}

func (a *AWS) describeRouteTables(r *request) (any, error) {
	return a.inVPC(r, "routeTableSet", a.around.subnets, func(s properties) []node {
		association := text("subnetId", s["id"])
		if s["id"] == "subnet-b" {
			association = text("main", "true")
		}
		return []node{
			group("associationSet", group("item", association)),
			group("routeSet",
				group("item", text("destinationCidrBlock", "10.1.0.0/16"), text("gatewayId", "local"),
					text("state", "active")),
				group("item", text("destinationCidrBlock", "0.0.0.0/0"), text("gatewayId", s["gateway"]),
					text("state", s["state"])),
				group("item", text("destinationIpv6CidrBlock", "::/0"), text("gatewayId", s["gateway6"]),
					text("state", "active"))),
		}
	})
}

// describeNetworkAcls answers with the ACL of the subnets, and another one's, which lets nothing
// through.
func (a *AWS) describeNetworkAcls(r *request) (any, error) {
	acls := []properties{{"id": "acl-1"}, {"id": "acl-2"}}
	return a.inVPC(r, "networkAclSet", acls, func(acl properties) []node {
		if acl["id"] == "acl-2" {
			return []node{
				text("networkAclId", "acl-2"),
				group("associationSet", group("item", text("subnetId", "subnet-d"))),
			}
		}
		var entries, associations []node
		for _, e := range a.around.entries {
			cidr := "cidrBlock"
			if strings.Contains(e["cidr"], ":") {
				cidr = "ipv6CidrBlock"
			}
			item := group("item", text("ruleNumber", e["number"]), text("protocol", e["protocol"]),
				text("ruleAction", e["action"]), text("egress", strconv.FormatBool(e["direction"] == "out")),
				text(cidr, e["cidr"]))
			if first, last, some := strings.Cut(e["ports"], "-"); some {
				item.Children = append(item.Children, group("portRange", text("from", first), text("to", last)))
			}
			entries = append(entries, item)
		}
		for _, s := range a.around.subnets {
			associations = append(associations, group("item", text("subnetId", s["id"])))
		}
		return []node{
			text("networkAclId", acl["id"]), group("entrySet", entries...), group("associationSet", associations...),
		}
	})
}

// describeSecurityGroups takes the ids that it is asked for as its second filter.
func (a *AWS) describeSecurityGroups(r *request) (any, error) {
	if r.Text("Filter.2.Name") != "group-id" {
		a.problem("ec2:DescribeSecurityGroups would list all groups")
	}
	var found []properties
	for i := 1; r.Text("Filter.2.Value."+strconv.Itoa(i)) != ""; i++ {
		if id := r.Text("Filter.2.Value." + strconv.Itoa(i)); slices.Contains(a.around.groups, id) {
			found = append(found, properties{"id": id})
		}
	}
	return a.inVPC(r, "securityGroupInfo", found, func(g properties) []node { return []node{text("groupId", g["id"])} })
}

func (a *AWS) describeCertificate(r *request) (any, error) {
	c := a.around.issued[r.Text("CertificateArn")]
	if c == nil {
		return nil, refuse("ResourceNotFoundException", "Could not find certificate %s.", r.Text("CertificateArn"))
	}
	return object{"Certificate": object{
		"CertificateArn": r.Text("CertificateArn"), "Status": c[0],
		"DomainName": c[1], "SubjectAlternativeNames": c[1:],
	}}, nil
}

func (a *AWS) getHostedZone(r *request) (any, error) {
	if r.Text("Id") != a.around.zone["id"] {
		return nil, &awsapi.Error{
			Code: "NoSuchHostedZone", Message: "No hosted zone found with ID: " + r.Text("Id"),
			Status: http.StatusNotFound,
		}
	}
	return group("", group("HostedZone", text("Id", "/hostedzone/"+r.Text("Id")), text("Name", a.around.zone["name"]),
		group("Config", text("PrivateZone", a.around.zone["private"])))), nil
}

func (a *AWS) describeAlarms(r *request) (any, error) {
	all := slices.DeleteFunc(slices.Clone(a.around.alarms), func(one any) bool {
		return !strings.HasPrefix(one.(object)["AlarmName"].(string), r.Text("AlarmNamePrefix"))
	})
	page, next, err := a.pageOf(len(all), r.Text("NextToken"))
	answer := object{"MetricAlarms": all[page.from:page.to]}
	if next != "" {
		answer["NextToken"] = next
	}
	return answer, err
}

func (a *AWS) listAccountSettings(r *request) (any, error) {
	if r.Input["effectiveSettings"] != true {
		a.problem("ecs:ListAccountSettings would leave out the account's default")
	}
	return object{"settings": []any{object{"name": r.Input["name"], "value": a.around.dualStack}}}, nil
}

func (a *AWS) describeSecret(r *request) (any, error) {
	for _, user := range a.fleet.users {
		if r.Input["SecretId"] != secretARN(user) || a.around.secrets[user] == "gone" {
			continue
		}
		answer := object{"ARN": secretARN(user), "VersionIdsToStages": object{"1": []any{"AWSCURRENT"}}}
		switch a.around.secrets[user] {
		case "deleted":
			answer["DeletedDate"] = epoch(time.Now())
		case "empty":
			answer["VersionIdsToStages"] = object{"1": []any{"AWSPENDING"}}
		}
		return answer, nil
	}
	return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func (a *AWS) getTemplate(r *request) (any, error) {
	if r.Text("StackName") != StackName+"-Proxy" {
		return nil, refuse("ValidationError", "Stack with id %s does not exist", r.Text("StackName"))
	}
	return group("", text("TemplateBody", a.around.template)), nil
}
