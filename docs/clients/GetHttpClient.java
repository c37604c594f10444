import java.net.*;
import java.net.http.*;

class GetHttpClient {
    public static void main(String[] urls) throws Exception {
        // Without this, Java answers no challenge for Basic on the way to https://.
        System.setProperty("jdk.http.auth.tunneling.disabledSchemes", "");
        var proxy = URI.create(System.getenv("PROXY"));
        var address = new InetSocketAddress(proxy.getHost(), proxy.getPort());
        var builder = HttpClient.newBuilder().proxy(ProxySelector.of(address));
        if (proxy.getUserInfo() != null) {
            var user = proxy.getUserInfo().split(":", 2);
            builder.authenticator(new Authenticator() {
                @Override
                protected PasswordAuthentication getPasswordAuthentication() {
                    return new PasswordAuthentication(user[0], user[1].toCharArray());
                }
            });
        }
        var client = builder.build();
        for (var url : urls) {
            var answer = client.send(HttpRequest.newBuilder(URI.create(url)).build(),
                    HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) throw new Exception(url + ": " + answer.statusCode());
            System.out.println(answer.body());
        }
    }
}
