package stacks

// proxy adds everything but the network to the proxy's stack, with the image that is staged in
// dir. It fails only by a mistake in this package.
func (in Input) proxy(n network, dir string) {
	p, stack := in.Params, n.stack
	secrets := newSecrets(stack, p)
	log := newLog(stack, p)
	image := newImage(stack, p, dir)
	firewall := newFirewall(n, p)
	endpoint := newLoadBalancer(n, p, firewall, in.hasIPv6Clients())
	role := newExecutionRole(stack, image, log, secrets)
	task := newTask(stack, p, image, log, role, secrets)
	cluster := newCluster(stack)
	addresses := newAddresses(n, p, cluster, task, firewall, endpoint)
	schedules := newSchedules(stack, p, cluster, addresses)
	newQueries(stack, p, log)
	known := figures{p: p, balancer: endpoint.loadBalancer.LoadBalancerFullName(),
		targets: endpoint.common.targets.TargetGroupFullName()}
	if schedules != nil {
		known.failures = schedules.failures.QueueName()
	}
	newAlarms(stack, known, cluster, log)
	newDashboard(stack, known, cluster, log)
	addOutputs(stack, p, endpoint, cluster, log, secrets, schedules)
}
