package standin

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"squidfleet/internal/awsapi"
)

const (
	logGroup    = "Squidfleet-Proxy-Log-0Zr7LmQpVt9W"
	targetGroup = "arn:aws:elasticloadbalancing:" + Region + ":" + account +
		":targetgroup/Squid-Targe-1A2B3C4D5E6F/73e2d6bc24d8a067"
	failureQueue = "https://sqs." + Region + ".amazonaws.com/" + account + "/Squidfleet-Proxy-FailedRotations-1A2B"
)

func (a *AWS) describeStacks(r *request) (any, error) {
	name := r.Text("StackName")
	if name != StackName+"-Proxy" || a.model.undeployed {
		return nil, refuse("ValidationError", "Stack with id %s does not exist", name)
	}
	endpoint, scheme := Endpoint, "http"
	if name := a.model.words["tls-name"]; name != "" {
		endpoint, scheme = name+":35201", "https"
	}
	outputs := map[string]string{
		"Endpoint": endpoint, "Scheme": scheme,
		"TryIt":            "curl … https://checkip.amazonaws.com",
		"LogGroup":         logGroup,
		"FollowLog":        "aws logs tail --region " + Region + " --follow " + logGroup,
		"ClusterName":      cluster,
		"RotateEvery":      a.model.words["rotate-every"],
		"RotationFailures": failureQueue,
	}
	var given []node
	for _, key := range slices.Sorted(maps.Keys(outputs)) {
		if !slices.Contains(a.model.lists["without-output"], key) {
			given = append(given, group("member", text("OutputKey", key), text("OutputValue", outputs[key])))
		}
	}
	return group("", group("Stacks", group("member", text("StackName", name),
		text("CreationTime", "2026-01-02T03:04:05.678Z"), text("StackStatus", a.model.words["stack-status"]),
		group("Outputs", given...)))), nil
}

func (a *AWS) getTemplate(r *request) (any, error) {
	if r.Text("StackName") != StackName+"-Proxy" {
		return nil, refuse("ValidationError", "Stack with id %s does not exist", r.Text("StackName"))
	}
	return group("", text("TemplateBody", a.model.words["template"])), nil
}

func (a *AWS) describeTargetHealth(r *request) (any, error) {
	if r.Text("TargetGroupArn") != targetGroup {
		return nil, refuse("TargetGroupNotFound", "One or more target groups not found")
	}
	var found []node
	for _, t := range a.fleet.tasks() {
		if t.target != "" {
			found = append(found, group("member", group("Target", text("Id", t.private()), text("Port", "35201")),
				group("TargetHealth", text("State", t.target))))
		}
	}
	return group("", group("TargetHealthDescriptions", found...)), nil
}

// values are those of a filter of EC2's.
func values(r *request, filter string) (all []string) {
	for i := 1; r.Text(filter+".Value."+strconv.Itoa(i)) != ""; i++ {
		all = append(all, r.Text(filter+".Value."+strconv.Itoa(i)))
	}
	return all
}

func (a *AWS) describeNetworkInterfaces(r *request) (any, error) {
	if filter := r.Text("Filter.1.Name"); filter != "network-interface-id" {
		return nil, refuse("InvalidParameterValue", "The filter '%s' is invalid", filter)
	}
	asked := values(r, "Filter.1")
	if len(asked) == 0 || len(asked) > 200 {
		return nil, refuse("FilterLimitExceeded",
			"The maximum number of filter values specified on a single call is 200")
	}
	existing := slices.DeleteFunc(a.fleet.tasks(), func(t *task) bool {
		return !slices.Contains(asked, t.eni()) || t.status == "STOPPED"
	})
	return ofEC2(a, r, "networkInterfaceSet", existing, func(t *task) []node {
		return []node{text("networkInterfaceId", t.eni()), group("association", text("publicIp", t.public()))}
	})
}

func secretARN(user string) string {
	return arn("secretsmanager", "secret:Passwords"+user+"1A2B3C4D-"+"5e6F7g")
}

func (a *AWS) getSecretValue(r *request) (any, error) {
	for _, user := range a.model.users() {
		if r.Input["SecretId"] == secretARN(user) {
			password := cmp.Or(a.model.words["password"], "pass-of-"+user)
			return object{"ARN": secretARN(user), "SecretString": password}, nil
		}
	}
	return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func (a *AWS) getQueueAttributes(r *request) (any, error) {
	if r.Input["QueueUrl"] != failureQueue {
		return nil, refuse("QueueDoesNotExist", "The specified queue does not exist.")
	}
	const number = "ApproximateNumberOfMessages"
	if names, _ := r.Input["AttributeNames"].([]any); !slices.Equal(names, []any{number}) {
		return object{}, nil
	}
	return object{"Attributes": object{number: a.model.words["failed-rotations"]}}, nil
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
	if r.Input["Name"] != "/cdk-bootstrap/hnb659fds/version" || a.model.words["bootstrap"] == "none" {
		return nil, refuse("ParameterNotFound", "")
	}
	version := a.model.words["bootstrap"]
	return object{"Parameter": object{"Name": r.Input["Name"], "Type": "String", "Value": version}}, nil
}

func (a *AWS) getRole(r *request) (any, error) {
	name := r.Text("RoleName")
	if !strings.HasPrefix(name, "AWSServiceRoleFor") || slices.Contains(a.model.lists["no-role"], name) {
		return nil, &awsapi.Error{
			Code: "NoSuchEntity", Message: "The role with name " + name + " cannot be found.",
			Status: http.StatusNotFound,
		}
	}
	return group("", group("Role", text("RoleName", name))), nil
}

// quotaDefaults are those of AWS, by service and code.
var quotaDefaults = properties{
	"fargate L-3032A538": "6", "fargate L-36FBB829": "6", "elasticloadbalancing L-69A177A2": "50",
	"vpc L-F678F1CE": "5", "vpc L-A4707A72": "5", "vpc L-0EA8095F": "60",
}

func (a *AWS) getServiceQuota(r *request) (any, error) {
	return quota(r, a.model.tables["quota"][r.Text("QuotaCode")])
}

func (a *AWS) getDefaultServiceQuota(r *request) (any, error) {
	return quota(r, quotaDefaults[r.Text("ServiceCode")+" "+r.Text("QuotaCode")])
}

// quota is an answer with a quota's value, "" if there is none.
func quota(r *request, value string) (any, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return nil, refuse("NoSuchResourceException", "The specified resource does not exist.")
	}
	return object{"Quota": object{"QuotaCode": r.Input["QuotaCode"], "Value": n}}, nil
}

func (a *AWS) describeAvailabilityZones(r *request) (any, error) {
	if r.Text("Filter.1.Name") != "zone-type" || r.Text("Filter.1.Value.1") != "availability-zone" {
		a.problem("ec2:DescribeAvailabilityZones would list local zones")
	}
	var zones []node
	for _, zone := range strings.Fields(a.model.words["zones"]) {
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
	return ofEC2(a, r, "vpcSet", make([]int, a.model.used("vpcs")), func(int) []node { return nil })
}

func (a *AWS) describeInternetGateways(r *request) (any, error) {
	return ofEC2(a, r, "internetGatewaySet", make([]int, a.model.used("internet-gateways")),
		func(int) []node { return nil })
}

// describeLoadBalancers answers with an Application Load Balancer and all the network ones.
func (a *AWS) describeLoadBalancers(r *request) (any, error) {
	types := append([]string{"application"}, slices.Repeat([]string{"network"}, a.model.used("load-balancers"))...)
	return inXML(a, r, "Marker", "NextMarker", "LoadBalancers", "member", types,
		func(t string) []node { return []node{text("Type", t)} })
}

func (a *AWS) describeSubnets(r *request) (any, error) {
	return a.inVPC(r, "subnetSet", a.model.subnets, func(s properties) []node {
		return []node{
			text("subnetId", s["id"]), text("availabilityZone", s["zone"]), text("availabilityZoneId", s["zone-id"]),
			text("cidrBlock", s["cidr"]), text("availableIpAddressCount", s["free"]),
			group("ipv6CidrBlockAssociationSet",
				group("item", group("ipv6CidrBlockState", text("state", s["ipv6"])))),
		}
	})
}

func (a *AWS) describeRouteTables(r *request) (any, error) {
	return a.inVPC(r, "routeTableSet", a.model.subnets, func(s properties) []node {
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
		for _, e := range a.model.entries {
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
		for _, s := range a.model.subnets {
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
	for _, id := range values(r, "Filter.2") {
		if slices.Contains([]string{"sg-0a1b2c3d", "sg-1a2b3c4d", "sg-2a3b4c5d"}, id) {
			found = append(found, properties{"id": id})
		}
	}
	return a.inVPC(r, "securityGroupInfo", found, func(g properties) []node { return []node{text("groupId", g["id"])} })
}

func (a *AWS) describeCertificate(r *request) (any, error) {
	c := strings.Fields(a.model.words["certificate"])
	if r.Text("CertificateArn") != Certificate {
		return nil, refuse("ResourceNotFoundException", "Could not find certificate %s.", r.Text("CertificateArn"))
	}
	return object{"Certificate": object{
		"CertificateArn": r.Text("CertificateArn"), "Status": c[0],
		"DomainName": c[1], "SubjectAlternativeNames": c[1:],
	}}, nil
}

func (a *AWS) getHostedZone(r *request) (any, error) {
	zone := a.model.tables["zone"]
	if r.Text("Id") != zone["id"] {
		return nil, &awsapi.Error{
			Code: "NoSuchHostedZone", Message: "No hosted zone found with ID: " + r.Text("Id"),
			Status: http.StatusNotFound,
		}
	}
	return group("", group("HostedZone", text("Id", "/hostedzone/"+r.Text("Id")), text("Name", zone["name"]),
		group("Config", text("PrivateZone", zone["private"])))), nil
}

func (a *AWS) describeAlarms(r *request) (any, error) {
	all := slices.DeleteFunc(slices.Clone(a.model.alarms), func(one any) bool {
		return !strings.HasPrefix(one.(object)["AlarmName"].(string), r.Text("AlarmNamePrefix"))
	})
	return inJSON(a, r, "NextToken", "MetricAlarms", all)
}

func (a *AWS) listAccountSettings(r *request) (any, error) {
	if r.Input["effectiveSettings"] != true {
		a.problem("ecs:ListAccountSettings would leave out the account's default")
	}
	return object{"settings": []any{object{"name": r.Input["name"], "value": a.model.words["dual-stack"]}}}, nil
}

func (a *AWS) describeSecret(r *request) (any, error) {
	for _, user := range a.model.users() {
		if r.Input["SecretId"] != secretARN(user) || a.model.tables["secret"][user] == "gone" {
			continue
		}
		answer := object{"ARN": secretARN(user), "VersionIdsToStages": object{"1": []any{"AWSCURRENT"}}}
		switch a.model.tables["secret"][user] {
		case "deleted":
			answer["DeletedDate"] = epoch(time.Now())
		case "empty":
			answer["VersionIdsToStages"] = object{"1": []any{"AWSPENDING"}}
		}
		return answer, nil
	}
	return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}
