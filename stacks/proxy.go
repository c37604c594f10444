package stacks

// proxy adds everything but the network to the proxy's stack, from the image staged in dir. Nothing in it can fail but by a mistake in this package.
func (in Input) proxy(n network, dir string) {
	p, stack := in.Params, n.stack
	passwords := newPasswords(stack, p)
	secrets := handOver(passwords, newDigestKey(stack, p))
	log := newLog(stack, p)
	image := newImage(stack, p, dir)
	firewall := newFirewall(n, p)
	entry := newLoadBalancer(n, p, firewall, in.hasIPv6Clients())
	role := newExecutionRole(stack, image, log, secrets)
	task := newTask(stack, p, image, log, role, secrets)
	service := newService(n, p, task, firewall, entry)
	rotation := newRotation(stack, p, service)
	addOutputs(stack, p, entry, service, log, passwords, rotation)
}
