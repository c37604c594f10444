package standin

import (
	"cmp"
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
	if a.model.undeployed {
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
	for _, key := range a.model.lists["without-output"] {
		delete(outputs, key)
	}
	return object{"Stacks": []object{{
		"StackName": name, "CreationTime": "2026-01-02T03:04:05.678Z", "StackStatus": a.model.words["stack-status"],
		"Outputs": awsapi.Pairs("OutputKey", "OutputValue", outputs),
	}}}, nil
}

func (a *AWS) getTemplate(*request) (any, error) {
	return object{"TemplateBody": a.model.words["template"]}, nil
}

func (a *AWS) describeTargetHealth(*request) (any, error) {
	var found []object
	for _, t := range a.fleet.tasks() {
		if t.target != "" {
			found = append(found, object{
				"Target": object{"Id": t.private(), "Port": 35201}, "TargetHealth": object{"State": t.target},
			})
		}
	}
	return object{"TargetHealthDescriptions": found}, nil
}

func (a *AWS) interfaces(r *request) (all []any, err error) {
	for _, t := range a.fleet.tasks() {
		if t.status != "STOPPED" {
			association := object{"publicIp": t.public()}
			all = append(all, object{"networkInterfaceId": t.eni(), "association": association})
		}
	}
	return all, nil
}

func secretARN(user string) string {
	return arn("secretsmanager", "secret:Passwords"+user+"1A2B3C4D-"+"5e6F7g")
}

// secretOf returns whose password is asked for.
func (a *AWS) secretOf(r *request) (user string, err error) {
	for _, user := range a.model.users() {
		if r.Input["SecretId"] == secretARN(user) && a.model.tables["secret"][user] != "gone" {
			return user, nil
		}
	}
	return "", refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func (a *AWS) getSecretValue(r *request) (any, error) {
	user, err := a.secretOf(r)
	return object{"SecretString": cmp.Or(a.model.words["password"], "pass-of-"+user)}, err
}

func (a *AWS) describeSecret(r *request) (any, error) {
	user, err := a.secretOf(r)
	answer := object{"VersionIdsToStages": object{"1": []string{"AWSCURRENT"}}}
	switch a.model.tables["secret"][user] {
	case "deleted":
		answer["DeletedDate"] = epoch(time.Now())
	case "empty":
		answer["VersionIdsToStages"] = object{"1": []string{"AWSPENDING"}}
	}
	return answer, err
}

func (a *AWS) getQueueAttributes(r *request) (any, error) {
	const number = "ApproximateNumberOfMessages"
	if names, _ := r.Input["AttributeNames"].([]any); !slices.Equal(names, []any{number}) {
		return object{}, nil
	}
	return object{"Attributes": object{number: a.model.words["failed-rotations"]}}, nil
}

func (a *AWS) getCallerIdentity(*request) (any, error) {
	return object{"Account": account, "Arn": "arn:aws:iam::" + account + ":user/olga"}, nil
}

func (a *AWS) getParameter(*request) (any, error) {
	version := a.model.words["bootstrap"]
	if version == "none" {
		return nil, refuse("ParameterNotFound", "")
	}
	return object{"Parameter": object{"Value": version}}, nil
}

func (a *AWS) getRole(r *request) (any, error) {
	name := r.Text("RoleName")
	if !strings.HasPrefix(name, "AWSServiceRoleFor") || slices.Contains(a.model.lists["no-role"], name) {
		return nil, refuse("NoSuchEntity", "The role with name %s cannot be found.", name)
	}
	return object{"Role": object{"RoleName": name}}, nil
}

// quotaDefaults are those of AWS, by service and code.
var quotaDefaults = properties{
	"fargate L-3032A538": "6", "fargate L-36FBB829": "6", "elasticloadbalancing L-69A177A2": "50",
	"vpc L-F678F1CE": "5", "vpc L-A4707A72": "5", "vpc L-0EA8095F": "60",
}

func (a *AWS) getServiceQuota(r *request) (any, error) {
	return quota(a.model.tables["quota"][r.Text("QuotaCode")])
}

func (a *AWS) getDefaultServiceQuota(r *request) (any, error) {
	return quota(quotaDefaults[r.Text("ServiceCode")+" "+r.Text("QuotaCode")])
}

// quota is an answer with a quota's value, "" if there is none.
func quota(value string) (any, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return nil, refuse("NoSuchResourceException", "The specified resource does not exist.")
	}
	return object{"Quota": object{"Value": n}}, nil
}

func (a *AWS) describeAvailabilityZones(r *request) (any, error) {
	var zones []any
	for _, zone := range strings.Fields(a.model.words["zones"]) {
		zone, state, _ := strings.Cut(zone, "/")
		name, id, _ := strings.Cut(zone, "=")
		zones = append(zones, object{
			"zoneName": name, "zoneId": id, "zoneState": cmp.Or(state, "available"), "zoneType": "availability-zone",
		})
	}
	found, err := a.filter(r, "zone-type", zones)
	return object{"availabilityZoneInfo": found}, err
}

func (a *AWS) subnets(*request) (all []any, err error) {
	for _, s := range a.model.subnets {
		ipv6 := object{"ipv6CidrBlockState": object{"state": s["ipv6"]}}
		all = append(all, object{
			"subnetId": s["id"], "vpcId": VPC, "availabilityZone": s["zone"], "availabilityZoneId": s["zone-id"],
			"cidrBlock": s["cidr"], "availableIpAddressCount": s["free"], "ipv6CidrBlockAssociationSet": []object{ipv6},
		})
	}
	return all, nil
}

func (a *AWS) routeTables(*request) (all []any, err error) {
	for _, s := range a.model.subnets {
		association := object{"subnetId": s["id"]}
		if s["id"] == "subnet-b" {
			association = object{"main": true}
		}
		all = append(all, object{"vpcId": VPC, "associationSet": []object{association}, "routeSet": []object{
			{"destinationCidrBlock": "10.1.0.0/16", "gatewayId": "local", "state": "active"},
			{"destinationCidrBlock": "0.0.0.0/0", "gatewayId": s["gateway"], "state": s["state"]},
			{"destinationIpv6CidrBlock": "::/0", "gatewayId": s["gateway6"], "state": "active"},
		}})
	}
	return all, nil
}

// networkACLs are that of the subnets, and another one's, which lets nothing through.
func (a *AWS) networkACLs(*request) ([]any, error) {
	var entries, associations []object
	for _, e := range a.model.entries {
		cidr := "cidrBlock"
		if strings.Contains(e["cidr"], ":") {
			cidr = "ipv6CidrBlock"
		}
		entry := object{
			"ruleNumber": e["number"], "protocol": e["protocol"], "ruleAction": e["action"],
			"egress": e["direction"] == "out", cidr: e["cidr"],
		}
		if first, last, some := strings.Cut(e["ports"], "-"); some {
			entry["portRange"] = object{"from": first, "to": last}
		}
		entries = append(entries, entry)
	}
	for _, s := range a.model.subnets {
		associations = append(associations, object{"subnetId": s["id"]})
	}
	return []any{
		object{"networkAclId": "acl-1", "vpcId": VPC, "entrySet": entries, "associationSet": associations},
		object{"networkAclId": "acl-2", "vpcId": VPC, "associationSet": []object{{"subnetId": "subnet-d"}}},
	}, nil
}

func (a *AWS) securityGroups(*request) (all []any, err error) {
	for _, id := range []string{"sg-0a1b2c3d", "sg-1a2b3c4d", "sg-2a3b4c5d"} {
		all = append(all, object{"groupId": id, "vpcId": VPC})
	}
	return append(all, object{"groupId": "sg-fffffffe", "vpcId": "vpc-1a2b3c4d5e6f70819"}), nil
}

func (a *AWS) describeCertificate(*request) (any, error) {
	c := strings.Fields(a.model.words["certificate"])
	return object{"Certificate": object{"Status": c[0], "DomainName": c[1], "SubjectAlternativeNames": c[1:]}}, nil
}

func (a *AWS) getHostedZone(*request) (any, error) {
	zone := a.model.tables["zone"]
	return object{"HostedZone": object{
		"Id": "/hostedzone/" + Zone, "Name": zone["name"], "Config": object{"PrivateZone": zone["private"]},
	}}, nil
}

func (a *AWS) alarms(r *request) ([]any, error) {
	return slices.DeleteFunc(slices.Clone(a.model.alarms), func(one any) bool {
		return !strings.HasPrefix(one.(object)["AlarmName"].(string), r.Text("AlarmNamePrefix"))
	}), nil
}

func (a *AWS) listAccountSettings(r *request) (any, error) {
	if r.Input["effectiveSettings"] != true {
		a.problem("ecs:ListAccountSettings would leave out the account's default")
	}
	return object{"settings": []object{{"name": r.Input["name"], "value": a.model.words["dual-stack"]}}}, nil
}
