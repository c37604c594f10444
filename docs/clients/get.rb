require 'net/http'

proxy = URI(ENV['PROXY'])
user, password = [proxy.user, proxy.password].map { |text| text && URI.decode_www_form_component(text) }
ARGV.each do |url|
  uri = URI(url)
  options = { use_ssl: uri.scheme == 'https' }
  Net::HTTP.start(uri.hostname, uri.port, proxy.hostname, proxy.port, user, password, options) do |http|
    answer = http.get(uri.request_uri)
    answer.value # raises unless it is a success
    puts answer.body
  end
end
