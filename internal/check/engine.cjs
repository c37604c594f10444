// Runs AWS's offline validation and cdk-preflight over CloudFormation templates.
// Arguments: account and region where they go, which may be empty, and files. Standard output: a JSON list of
// {path, rule, resource, message}.
const { App, CloudFormationValidatePlugin, Validations } = require('aws-cdk-lib')
const { Preflight } = require('cdk-preflight')
const app = new App()
const plugins = [new CloudFormationValidatePlugin()]
// Preflight registers its plugin for the synthesis of an app; here it judges files.
Validations.prototype.addPlugins = (...more) => { plugins.push(...more) }
Preflight.apply(app)
const [account, region, ...templatePaths] = process.argv.slice(1)
const place = { accountId: account || undefined, region: region || undefined }
const stackTemplates = templatePaths.map(path => ({ stackConstructPath: path, templatePath: path, ...place }))
const found = []
for (const plugin of plugins) {
  for (const v of plugin.validate({ templatePaths, stackTemplates, appConstruct: app, ...place }).violations) {
    for (const r of v.violatingResources) {
      found.push({ path: r.templatePath, rule: v.ruleName, resource: r.resourceLogicalId ?? '-', message: v.description })
    }
  }
}
process.stdout.write(JSON.stringify(found))
