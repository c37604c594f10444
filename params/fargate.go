package params

import (
	"fmt"
	"strconv"
)

// fargateSizes are the task sizes that Fargate offers for Linux: for each cpu (units, 1024 to a
// vCPU) the memory (MiB) from least to most in steps.
//
// Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
// and the property Memory of AWS::ECS::TaskDefinition.
var fargateSizes = []struct{ cpu, least, most, step int }{
	{256, 512, 2048, 0}, // 512, 1024 and 2048: each the double of the one before
	{512, 1024, 4096, 1024},
	{1024, 2048, 8192, 1024},
	{2048, 4096, 16384, 1024},
	{4096, 8192, 30720, 1024},
	{8192, 16384, 61440, 4096},
	{16384, 32768, 122880, 8192},
}

func fargateCPUs() []int {
	var cpus []int
	for _, s := range fargateSizes {
		cpus = append(cpus, s.cpu)
	}
	return cpus
}

// fargateMemory returns the memory sizes that go with a cpu, smallest first; none if Fargate has
// no such cpu.
func fargateMemory(cpu int) []int {
	var sizes []int
	for _, s := range fargateSizes {
		if s.cpu != cpu {
			continue
		}
		for m := s.least; m <= s.most; {
			sizes = append(sizes, m)
			if s.step == 0 {
				m *= 2
			} else {
				m += s.step
			}
		}
	}
	return sizes
}

// fargateMemoryText names the memory sizes that go with a cpu, all of them if they are few.
func fargateMemoryText(cpu int) string {
	sizes := fargateMemory(cpu)
	if len(sizes) > 8 {
		return fmt.Sprintf("%d to %d in steps of %d", sizes[0], sizes[len(sizes)-1], sizes[1]-sizes[0])
	}
	var words []string
	for _, m := range sizes {
		words = append(words, strconv.Itoa(m))
	}
	return either(words)
}
