package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// Fargate's capacity providers.
const (
	onDemand = "FARGATE"
	spot     = "FARGATE_SPOT"
)

// capacity divides the fleet between on-demand and Spot. The weights are the numbers of tasks in
// lowest terms: ECS keeps to their ratio and has nothing to round. A fraction of a task stays on
// demand.
//
// There is always a strategy, never a launch type: changing from one to the other replaces the
// service.
func capacity(p *params.Params) *[]*awsecs.CfnService_CapacityProviderStrategyItemProperty {
	spotTasks := p.FleetSize * p.SpotShare / 100
	var strategy []*awsecs.CfnService_CapacityProviderStrategyItemProperty
	add := func(provider string, tasks int) {
		if tasks > 0 {
			strategy = append(strategy, &awsecs.CfnService_CapacityProviderStrategyItemProperty{
				CapacityProvider: jsii.String(provider),
				Weight:           jsii.Number(tasks / gcd(spotTasks, p.FleetSize)),
			})
		}
	}
	add(onDemand, p.FleetSize-spotTasks)
	add(spot, spotTasks)
	return &strategy
}

func gcd(a, b int) int {
	for a != 0 {
		a, b = b%a, a
	}
	return b
}
