package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// newImage copies the build context in dir into the assembly. The CDK CLI builds and pushes the
// image when it deploys.
func newImage(stack awscdk.Stack, p *params.Params, dir string) awsecrassets.DockerImageAsset {
	platform := awsecrassets.Platform_LINUX_AMD64()
	if p.Architecture == params.ARM64 {
		platform = awsecrassets.Platform_LINUX_ARM64()
	}
	return awsecrassets.NewDockerImageAsset(stack, jsii.String("Image"), &awsecrassets.DockerImageAssetProps{
		Directory: jsii.String(dir),
		Platform:  platform,
	})
}
