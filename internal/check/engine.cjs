// Runs AWS's offline validation and cdk-preflight over CloudFormation templates.
// Standard input: a JSON list of {path, account, region}. Standard output: a list of {path, rule, resource, message}.
const { App, CloudFormationValidatePlugin, Validations } = require('aws-cdk-lib')
const { Preflight } = require('cdk-preflight')
const app = new App()
const plugins = [new CloudFormationValidatePlugin()]
// Preflight registers its plugin for the synthesis of an app; here it judges files.
Validations.prototype.addPlugins = (...more) => { plugins.push(...more) }
Preflight.apply(app)
const templates = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const found = []
// Some rules ask where a template goes. All that go to one place are judged at once, since engines start slowly.
for (const there of Map.groupBy(templates, t => `${t.account} ${t.region}`).values()) {
  const place = { accountId: there[0].account || undefined, region: there[0].region || undefined }
  const templatePaths = there.map(t => t.path)
  const stackTemplates = templatePaths.map(path => ({ stackConstructPath: path, templatePath: path, ...place }))
  for (const plugin of plugins) {
    for (const v of plugin.validate({ templatePaths, stackTemplates, appConstruct: app, ...place }).violations) {
      for (const r of v.violatingResources) {
        found.push({ path: r.templatePath, rule: v.ruleName, resource: r.resourceLogicalId ?? '-', message: v.description })
      }
    }
  }
}
process.stdout.write(JSON.stringify(found))
