package params

import (
	"fmt"
	"slices"
)

// fargateSizes are the task sizes of up to one vCPU that Fargate offers for Linux: for each cpu
// (units, 1024 to a vCPU) the memory (MiB). Squid is one process and uses no more.
//
// Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
// and the property Memory of AWS::ECS::TaskDefinition.
var fargateSizes = map[int][]int{
	256:     {512, 1024, 2048},
	512:     {1024, 2048, 3072, 4096},
	mostCPU: {2048, 3072, 4096, 5120, 6144, 7168, 8192},
}

const mostCPU = 1024

// cpu is one of Fargate's sizes. Larger ones have a message of their own.
func cpu() kind[int] {
	k := integerOf("a size Fargate offers", 256, 512, mostCPU)
	offered := k.read
	k.read = func(path string, value any) (int, Errors) {
		if n, ok := whole(value); ok && n > mostCPU {
			return 0, Errors{{path, fmt.Sprintf("%d is more than one vCPU, and one Squid uses no more; "+
				"give %s, and a larger fleetSize to carry more", n, k.limits)}}
		}
		return offered(path, value)
	}
	return k
}

// memory is any whole number. The rule fargatePair says which ones go with the cpu.
func memory() kind[int] {
	limits := "a size Fargate offers with the `cpu`: " + fargateMemory(256) + " with 256"
	return scalar("integer", limits, func(value any) (int, error) {
		n, ok := whole(value)
		if !ok {
			return 0, fmt.Errorf("%s is not a whole number; give a memory size in MiB", show(value))
		}
		return n, nil
	})
}

func fargatePair(p *Params, refuse refusal) {
	if !slices.Contains(fargateSizes[p.CPU], p.Memory) {
		refuse("memory", "Fargate offers no %d MiB with cpu %d; give %s, or another cpu", p.Memory, p.CPU,
			fargateMemory(p.CPU))
	}
}

// fargateMemory names the memory sizes that go with a cpu.
func fargateMemory(cpu int) string { return either(fargateSizes[cpu]) }
