import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.Proxy;
import java.net.URL;

/** Asks for each URL: java Urls.java HOST PORT USER PASSWORD URL... It prints a status or an error a line. */
public class Urls {
    public static void main(String[] args) {
        Authenticator.setDefault(new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(args[2], args[3].toCharArray());
            }
        });
        Proxy proxy = new Proxy(Proxy.Type.HTTP, new InetSocketAddress(args[0], Integer.parseInt(args[1])));
        for (int i = 4; i < args.length; i++) {
            try {
                HttpURLConnection connection = (HttpURLConnection) new URL(args[i]).openConnection(proxy);
                connection.setReadTimeout(30_000);
                System.out.println(connection.getResponseCode());
            } catch (java.io.IOException error) {
                System.out.println(error.getMessage());
            }
        }
    }
}
