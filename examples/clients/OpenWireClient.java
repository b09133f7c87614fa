import java.util.HashSet;
import java.util.Set;
import javax.jms.Connection;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQSession;

/**
 * A JMS client (OpenWire, ActiveMQ) that loses nothing when the queue manager moves: a producer and a consumer.
 *
 *     java -cp 'LIBRARIES/*' OpenWireClient.java 10.0.0.1:61616,10.0.0.2:61616 1000
 *
 * What makes it safe: `failover:` with all data members, which reconnects without end; persistent messages, whose
 * `send` returns when the broker has them on its disk, and which are sent again when it throws; a consumer that
 * acknowledges each message when it has done it, and knows by its id what it has done before.
 */
public class OpenWireClient {
    static final String OPTIONS = "?maxReconnectAttempts=-1&startupMaxReconnectAttempts=-1&randomize=false"
            + "&initialReconnectDelay=100&useExponentialBackOff=false&timeout=2000"
            + "&nested.wireFormat.maxInactivityDuration=4000&nested.connectionTimeout=1000";
    static final String QUEUE = "orders";
    static final long ANSWER_MS = 2000;

    static Connection connected(String servers) throws JMSException {
        StringBuilder list = new StringBuilder();
        for (String server : servers.split(",")) {
            list.append(list.length() == 0 ? "" : ",").append("tcp://").append(server);
        }
        Connection connection = new ActiveMQConnectionFactory("failover:(" + list + ")" + OPTIONS).createConnection();
        connection.start();
        return connection;
    }

    /** Send every message until it is acknowledged. */
    static void produce(String servers, int messages) throws JMSException {
        Connection connection = connected(servers);
        Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageProducer producer = session.createProducer(session.createQueue(QUEUE));
        producer.setDeliveryMode(DeliveryMode.PERSISTENT);
        int number = 0;
        while (number < messages) {
            Message message = session.createMessage();
            message.setIntProperty("order", number);
            try {
                producer.send(message);
            } catch (JMSException outcomeUnknown) {
                continue; // the library reconnects meanwhile; the consumer knows a second one by its id
            }
            System.out.println("acknowledged " + number);
            number++;
        }
        connection.close();
    }

    /** Do every order once, whatever is delivered twice. */
    static String consume(String servers, int messages) throws JMSException {
        Connection connection = connected(servers);
        Session session = connection.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
        MessageConsumer consumer = session.createConsumer(session.createQueue(QUEUE));
        Set<Integer> done = new HashSet<>(); // a real consumer keeps this with what the order changed
        int again = 0;
        while (done.size() < messages) {
            Message message = consumer.receive(ANSWER_MS);
            if (message == null) {
                continue;
            }
            again += done.add(message.getIntProperty("order")) ? 0 : 1;
            try {
                message.acknowledge();
            } catch (JMSException deliveredAgain) {
                continue;
            }
        }
        connection.close();
        return "{\"done\": " + done.size() + ", \"again\": " + again + "}";
    }

    public static void main(String[] arguments) throws Exception {
        int messages = Integer.parseInt(arguments[1]);
        Thread producing = new Thread(() -> {
            try {
                produce(arguments[0], messages);
            } catch (JMSException error) {
                error.printStackTrace();
                System.exit(1);
            }
        });
        producing.start();
        String found = consume(arguments[0], messages);
        producing.join();
        System.out.println(found);
    }
}
