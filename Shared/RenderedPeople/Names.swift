/// Invented names for rendered people. First names and surnames come from many languages and are joined by chance; any
/// likeness to a real person's name is accident.
enum Names {
    /// Names for `count` people, all different, the same for the same seed. More people keep the names of the first.
    /// - Throws: `DatasetError` where there are not that many names.
    static func list(_ count: Int, seed: UInt64) throws -> [String] {
        let all = first.count * last.count
        guard count <= all else {
            throw DatasetError("\(count) people are more than there are names for; ask for at most \(all)")
        }
        var random = CounterRandom(CounterRandom.key(4, seed))
        var (names, taken) = ([String](), Set<String>())
        while names.count < count {
            let name = "\(first[random.below(first.count)])_\(last[random.below(last.count)])"
            if taken.insert(name).inserted { names.append(name) }
        }
        return names
    }

    static let first = words(
        """
        Ada Aiko Alma Amara Amina Anouk Anton Ariel Asa Aya Basil Bela Bibi Bruno Caleb Carmen Casper Celia Chidi Cora Dana
        Dario Davi Delia Dora Edda Efua Elio Elsa Emeka Enzo Esme Ewa Fadi Farah Felix Fiona Flora Freya Gaia Gideon Gita
        Greta Gus Hana Hugo Ida Idris Ilse Imani Ines Ingrid Iris Ivo Jalil Jonas Joao Juno Kaia Karim Kato Keiko Kofi Lars
        Leila Lena Leo Lila Lin Lola Lucia Luka Mabel Malik Mara Mateo Mei Milo Mina Mira Nadia Naoko Nell Nia Niko Noor Nora
        Odin Oki Olga Omar Oona Orla Oscar Otto Paola Pavel Petra Pia Priya Quinn Rafa Rania Remy Rio Rosa Ruben Sade Samir
        Saskia Sefa Selma Silas Sofia Sora Stella Sunil Tala Tamar Tariq Tessa Theo Tilda Timo Uma Vera Viggo Wanda Wren
        Xenia Yara Yusuf Zadie Zeno Zora
        """)

    static let last = words(
        """
        Abara Adler Alder Almeida Amsel Anders Aoki Arden Asante Ashby Baird Banda Barros Basu Bauer Bellamy Berg Birch Bloom
        Bondi Bosco Brandt Brook Calder Castell Chanda Cho Cole Corso Costa Crane Dahl Darrow Daude Dell Desai Diallo Dorn
        Drake Duarte Ebner Egede Elm Emery Endo Eriksen Fable Falk Farrow Fern Finch Flint Fonseca Frost Fuchs Gale Garza
        Glade Glynn Gomes Grant Grove Haas Hale Hara Harlow Hazel Heron Hirsch Holm Hoshi Ibarra Idowu Ikeda Isaksen Ito Jara
        Jensen Juhl Kaya Keita Kern Kimura Kline Koch Kovac Kuroda Lamar Larch Leal Lind Lobo Lowe Luna Maki Marlow Mensah
        Merle Miro Moana Moreau Mori Moss Nagel Nakano Ndiaye Neri Noble Novak Oduya Ojeda Okoro Olsen Onwu Orlov Osei Otero
        Padua Palmer Pereira Pike Quill Rana Raven Reyes Rios Rook Rowan Sato Senn Shah Silva Soto Sparrow Stark Stone Suzuki
        Tahir Takeda Tanaka Teller Thorn Tobar Torres Umar Urban Vale Varga Vega Vidal Voss Wade Weld Wilde Winter Wolfe Yale
        Yamada Yilmaz Zamora Zola
        """)

    private static func words(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).map(String.init)
    }
}
